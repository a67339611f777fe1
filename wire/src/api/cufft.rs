//! cufft's functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/cufft.rules`.

/// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).
#[macro_export]
#[rustfmt::skip]
macro_rules! cufft_api {
    ($($then:tt)+) => { $($then)+! {
        group "Device functions" {
            sync [12] fn cufftDescriptionCreate(desc_handle: host_out(4));
            sync [12] fn cufftDescriptionDestroy(desc_handle: i32);
            sync [12] fn cufftDescriptionGetTraitInt64(desc_handle: i32, trait_: i32, value: host_out(8));
            sync [12] fn cufftDescriptionSetTraitInt64(desc_handle: i32, trait_: i32, value: i64);
            sync [12] fn cufftDeviceCreate(handle: host_out(4), desc_count: i64, desc_handles: host_in(desc_count; 4));
            sync [12] fn cufftDeviceDestroy(handle: i32);
            sync [12] fn cufftDeviceGetDatabaseStr(handle: i32, db_str_size: i64, db_str: out(db_str_size; 1), func_handle: i32);
            sync [12] fn cufftDeviceGetDatabaseStrSize(handle: i32, db_str_size: host_out(8), func_handle: i32);
            sync [12] fn cufftDeviceGetDeviceFunctionTraitInt64(handle: i32, func_handle: i32, trait_: i32, value: host_out(8));
            sync [12] fn cufftDeviceGetDeviceFunctions(handle: i32, desc_handle: i32, func_count: i64, func_handles: out(func_count; 4));
            sync [12] fn cufftDeviceGetLTOIRSizes(handle: i32, code_count: i64, code_sizes: out(code_count; 8), func_handle: i32);
            unsupported [12] fn cufftDeviceGetLTOIRs();
            sync [12] fn cufftDeviceGetNumDeviceFunctions(handle: i32, desc_handle: i32, func_count: host_out(8));
            sync [12] fn cufftDeviceGetNumLTOIRs(handle: i32, code_count: host_out(8), func_handle: i32);
            sync [12] fn cufftDeviceGetSemanticVersion(major: host_out(4), minor: host_out(4), patch: host_out(4));
            sync [12] fn cufftDeviceGetVersion(version: host_out(4));
            sync [12] fn cufftDeviceIsSupported(handle: i32, desc_handle: i32, is_supported: host_out(1));
        }
        group "Execution" {
            async [11 12] fn cufftExecC2C(plan: handle, idata: dev, odata: dev, direction: i32);
            async [11 12] fn cufftExecC2R(plan: handle, idata: dev, odata: dev);
            async [11 12] fn cufftExecD2Z(plan: handle, idata: dev, odata: dev);
            async [11 12] fn cufftExecR2C(plan: handle, idata: dev, odata: dev);
            async [11 12] fn cufftExecZ2D(plan: handle, idata: dev, odata: dev);
            async [11 12] fn cufftExecZ2Z(plan: handle, idata: dev, odata: dev, direction: i32);
            async [11 12] fn cufftXtExec(plan: handle, input: dev, output: dev, direction: i32);
        }
        group "Extensions" {
            local [11 12] fn cufftXtClearCallback(plan: handle, cbType: i32);
            unsupported [11 12] fn cufftXtExecDescriptor();
            unsupported [11 12] fn cufftXtExecDescriptorC2C();
            unsupported [11 12] fn cufftXtExecDescriptorC2R();
            unsupported [11 12] fn cufftXtExecDescriptorD2Z();
            unsupported [11 12] fn cufftXtExecDescriptorR2C();
            unsupported [11 12] fn cufftXtExecDescriptorZ2D();
            unsupported [11 12] fn cufftXtExecDescriptorZ2Z();
            unsupported [11 12] fn cufftXtFree();
            unsupported [11 12] fn cufftXtMalloc();
            unsupported [11 12] fn cufftXtMemcpy();
            local [11 12] fn cufftXtQueryPlan(plan: handle, queryStruct: dev, queryType: i32);
            local [11 12] fn cufftXtSetCallback(plan: handle, callback_routine: dev, cbType: i32, caller_info: dev);
            sync [11 12] fn cufftXtSetCallbackSharedSize(plan: handle, cbType: i32, sharedSize: i64);
            local [11 12] fn cufftXtSetGPUs(handle: handle, nGPUs: i32, whichGPUs: dev);
            sync [12] fn cufftXtSetJITCallback(plan: handle, lto_callback_symbol_name: text, lto_callback_fatbin: bytes(lto_callback_fatbin_size), lto_callback_fatbin_size: i64, type_: i32, caller_info: host_const(8));
            undeclared [11] fn cufftXtSetJITCallback();
            local [11 12] fn cufftXtSetWorkArea(plan: handle, workArea: dev);
            sync [11 12] fn cufftXtSetWorkAreaPolicy(plan: handle, policy: i32, workSize: host_changed(8));
        }
        group "Helpers" {
            sync [11] fn __cufftXtSetJITCallback_12_7(plan: handle, lto_callback_symbol_name: text, lto_callback_fatbin: bytes(lto_callback_fatbin_size), lto_callback_fatbin_size: i64, type_: i32, caller_info: host_const(8));
            local [11 12] fn cufftCreate(handle: dev);
            undeclared [11 12] fn cufftDebug();
            local [11 12] fn cufftDestroy(plan: handle);
            sync [11 12] fn cufftGetPlanPropertyInt64(plan: handle, property: i32, returnPtrValue: host_out(8));
            local [11 12] fn cufftGetProperty(type_: i32, value: dev);
            local [11 12] fn cufftGetVersion(version: dev);
            sync [11 12] fn cufftResetPlanProperty(plan: handle, property: i32);
            state [11 12] fn cufftSetAutoAllocation(plan: handle, autoAllocate: i32);
            sync [11 12] fn cufftSetPlanPropertyInt64(plan: handle, property: i32, inputValueInt: i64);
            state [11 12] fn cufftSetStream(plan: handle, stream: stream);
            state [11 12] fn cufftSetWorkArea(plan: handle, workArea: dev);
        }
        group "Plans" {
            sync [11 12] fn cufftMakePlan1d(plan: handle, nx: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlan2d(plan: handle, nx: i32, ny: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlan3d(plan: handle, nx: i32, ny: i32, nz: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlanMany(plan: handle, rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlanMany64(plan: handle, rank: i32, n: host_in(rank; 8), inembed: host_in(rank; 8), istride: i64, idist: i64, onembed: host_in(rank; 8), ostride: i64, odist: i64, type_: i32, batch: i64, workSize: host_out(8));
            made_sync [11 12] fn cufftPlan1d(plan: dev, nx: i32, type_: i32, batch: i32);
            made_sync [11 12] fn cufftPlan2d(plan: dev, nx: i32, ny: i32, type_: i32);
            made_sync [11 12] fn cufftPlan3d(plan: dev, nx: i32, ny: i32, nz: i32, type_: i32);
            made_sync [11 12] fn cufftPlanMany(plan: dev, rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32);
            undeclared [11 12] fn cufftXtMakePlanGuru64();
            sync [11 12] fn cufftXtMakePlanMany(plan: handle, rank: i32, n: host_in(rank; 8), inembed: host_in(rank; 8), istride: i64, idist: i64, inputtype: i32, onembed: host_in(rank; 8), ostride: i64, odist: i64, outputtype: i32, batch: i64, workSize: host_out(8), executiontype: i32);
        }
        group "Sizes" {
            sync [11 12] fn cufftEstimate1d(nx: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftEstimate2d(nx: i32, ny: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftEstimate3d(nx: i32, ny: i32, nz: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftEstimateMany(rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftGetSize(handle: handle, workSize: host_out(8));
            sync [11 12] fn cufftGetSize1d(handle: handle, nx: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftGetSize2d(handle: handle, nx: i32, ny: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftGetSize3d(handle: handle, nx: i32, ny: i32, nz: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftGetSizeMany(handle: handle, rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32, workArea: host_out(8));
            sync [11 12] fn cufftGetSizeMany64(plan: handle, rank: i32, n: host_in(rank; 8), inembed: host_in(rank; 8), istride: i64, idist: i64, onembed: host_in(rank; 8), ostride: i64, odist: i64, type_: i32, batch: i64, workSize: host_out(8));
            sync [11 12] fn cufftXtGetSizeMany(plan: handle, rank: i32, n: host_in(rank; 8), inembed: host_in(rank; 8), istride: i64, idist: i64, inputtype: i32, onembed: host_in(rank; 8), ostride: i64, odist: i64, outputtype: i32, batch: i64, workSize: host_out(8), executiontype: i32);
        }
    } };
}
