//! cufftw's functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/cufftw.rules`.

/// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).
#[macro_export]
#[rustfmt::skip]
macro_rules! cufftw_api {
    ($($then:tt)+) => { $($then)+! {
        group "Execution" {
            void [11 12] fn fftw_execute(plan: dev);
            void [11 12] fn fftw_execute_dft(plan: dev, idata: dev, odata: dev);
            void [11 12] fn fftw_execute_dft_c2r(plan: dev, idata: dev, odata: dev);
            void [11 12] fn fftw_execute_dft_r2c(plan: dev, idata: dev, odata: dev);
            void [11 12] fn fftwf_execute(plan: dev);
            void [11 12] fn fftwf_execute_dft(plan: dev, idata: dev, odata: dev);
            void [11 12] fn fftwf_execute_dft_c2r(plan: dev, idata: dev, odata: dev);
            void [11 12] fn fftwf_execute_dft_r2c(plan: dev, idata: dev, odata: dev);
        }
        group "Helpers" {
            local_void [11 12] fn fftw_cleanup();
            local [11 12] fn fftw_cost(plan: dev);
            void [11 12] fn fftw_destroy_plan(plan: dev);
            local_void [11 12] fn fftw_export_wisdom_to_file(output_file: dev);
            local_void [11 12] fn fftw_flops(plan: dev, add: dev, mul: dev, fma: dev);
            local_void [11 12] fn fftw_free(pointer: dev);
            local [11 12] fn fftw_import_wisdom_from_file(input_file: dev);
            local_plan [11 12] fn fftw_malloc(n: i64);
            local_void [11 12] fn fftw_print_plan(plan: dev);
            local_void [11 12] fn fftw_set_timelimit(seconds: f64);
            local_void [11 12] fn fftwf_cleanup();
            local [11 12] fn fftwf_cost(plan: dev);
            void [11 12] fn fftwf_destroy_plan(plan: dev);
            local_void [11 12] fn fftwf_export_wisdom_to_file(output_file: dev);
            local_void [11 12] fn fftwf_flops(plan: dev, add: dev, mul: dev, fma: dev);
            local_void [11 12] fn fftwf_free(pointer: dev);
            local [11 12] fn fftwf_import_wisdom_from_file(input_file: dev);
            local_plan [11 12] fn fftwf_malloc(n: i64);
            local_void [11 12] fn fftwf_print_plan(plan: dev);
            local_void [11 12] fn fftwf_set_timelimit(seconds: f64);
        }
        group "Plans" {
            plan [11 12] fn fftw_plan_dft(rank: i32, n: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_dft_1d(n: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_dft_2d(n0: i32, n1: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_dft_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_dft_c2r(rank: i32, n: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_c2r_1d(n: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_c2r_2d(n0: i32, n1: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_c2r_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_r2c(rank: i32, n: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_r2c_1d(n: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_r2c_2d(n0: i32, n1: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_dft_r2c_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_guru64_dft(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_guru64_dft_c2r(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_guru64_dft_r2c(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_guru_dft(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_guru_dft_c2r(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_guru_dft_r2c(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftw_plan_many_dft(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, sign: i32, flags: i32);
            plan [11 12] fn fftw_plan_many_dft_c2r(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, flags: i32);
            plan [11 12] fn fftw_plan_many_dft_r2c(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, flags: i32);
            plan [11 12] fn fftwf_plan_dft(rank: i32, n: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_dft_1d(n: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_dft_2d(n0: i32, n1: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_dft_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_dft_c2r(rank: i32, n: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_c2r_1d(n: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_c2r_2d(n0: i32, n1: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_c2r_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_r2c(rank: i32, n: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_r2c_1d(n: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_r2c_2d(n0: i32, n1: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_dft_r2c_3d(n0: i32, n1: i32, n2: i32, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_guru64_dft(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_guru64_dft_c2r(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_guru64_dft_r2c(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_guru_dft(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_guru_dft_c2r(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_guru_dft_r2c(rank: i32, dims: dev, batch_rank: i32, batch_dims: dev, in_: dev, out: dev, flags: i32);
            plan [11 12] fn fftwf_plan_many_dft(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, sign: i32, flags: i32);
            plan [11 12] fn fftwf_plan_many_dft_c2r(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, flags: i32);
            plan [11 12] fn fftwf_plan_many_dft_r2c(rank: i32, n: dev, batch: i32, in_: dev, inembed: dev, istride: i32, idist: i32, out: dev, onembed: dev, ostride: i32, odist: i32, flags: i32);
        }
    } };
}
