//! cufft's functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/cufft.rules`.

/// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).
#[macro_export]
#[rustfmt::skip]
macro_rules! cufft_api {
    ($($then:tt)+) => { $($then)+! {
        group "Device functions" {
            unsupported [12] fn cufftDescriptionCreate();
            unsupported [12] fn cufftDescriptionDestroy();
            unsupported [12] fn cufftDescriptionGetTraitInt64();
            unsupported [12] fn cufftDescriptionSetTraitInt64();
            unsupported [12] fn cufftDeviceCreate();
            unsupported [12] fn cufftDeviceDestroy();
            unsupported [12] fn cufftDeviceGetDatabaseStr();
            unsupported [12] fn cufftDeviceGetDatabaseStrSize();
            unsupported [12] fn cufftDeviceGetDeviceFunctionTraitInt64();
            unsupported [12] fn cufftDeviceGetDeviceFunctions();
            unsupported [12] fn cufftDeviceGetLTOIRSizes();
            unsupported [12] fn cufftDeviceGetLTOIRs();
            unsupported [12] fn cufftDeviceGetNumDeviceFunctions();
            unsupported [12] fn cufftDeviceGetNumLTOIRs();
            unsupported [12] fn cufftDeviceGetSemanticVersion();
            unsupported [12] fn cufftDeviceGetVersion();
            unsupported [12] fn cufftDeviceIsSupported();
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
            unsupported [11 12] fn cufftXtClearCallback();
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
            unsupported [11 12] fn cufftXtQueryPlan();
            unsupported [11 12] fn cufftXtSetCallback();
            unsupported [11 12] fn cufftXtSetCallbackSharedSize();
            unsupported [11 12] fn cufftXtSetGPUs();
            unsupported [11 12] fn cufftXtSetJITCallback();
            unsupported [11 12] fn cufftXtSetWorkArea();
            sync [11 12] fn cufftXtSetWorkAreaPolicy(plan: handle, policy: i32, workSize: host_out(8));
        }
        group "Helpers" {
            unsupported [11] fn __cufftXtSetJITCallback_12_7();
            local [11 12] fn cufftCreate(handle: dev);
            unsupported [11 12] fn cufftDebug();
            local [11 12] fn cufftDestroy(plan: handle);
            sync [11 12] fn cufftGetPlanPropertyInt64(plan: handle, property: i32, returnPtrValue: host_out(8));
            local [11 12] fn cufftGetProperty(type_: i32, value: dev);
            local [11 12] fn cufftGetVersion(version: dev);
            async [11 12] fn cufftResetPlanProperty(plan: handle, property: i32);
            state [11 12] fn cufftSetAutoAllocation(plan: handle, autoAllocate: i32);
            async [11 12] fn cufftSetPlanPropertyInt64(plan: handle, property: i32, inputValueInt: i64);
            state [11 12] fn cufftSetStream(plan: handle, stream: stream);
            state [11 12] fn cufftSetWorkArea(plan: handle, workArea: dev);
        }
        group "Plans" {
            sync [11 12] fn cufftMakePlan1d(plan: handle, nx: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlan2d(plan: handle, nx: i32, ny: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlan3d(plan: handle, nx: i32, ny: i32, nz: i32, type_: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlanMany(plan: handle, rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32, workSize: host_out(8));
            sync [11 12] fn cufftMakePlanMany64(plan: handle, rank: i32, n: host_in(rank; 8), inembed: host_in(rank; 8), istride: i64, idist: i64, onembed: host_in(rank; 8), ostride: i64, odist: i64, type_: i32, batch: i64, workSize: host_out(8));
            local [11 12] fn cufftPlan1d(plan: dev, nx: i32, type_: i32, batch: i32);
            local [11 12] fn cufftPlan2d(plan: dev, nx: i32, ny: i32, type_: i32);
            local [11 12] fn cufftPlan3d(plan: dev, nx: i32, ny: i32, nz: i32, type_: i32);
            local [11 12] fn cufftPlanMany(plan: dev, rank: i32, n: host_in(rank; 4), inembed: host_in(rank; 4), istride: i32, idist: i32, onembed: host_in(rank; 4), ostride: i32, odist: i32, type_: i32, batch: i32);
            unsupported [11 12] fn cufftXtMakePlanGuru64();
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
