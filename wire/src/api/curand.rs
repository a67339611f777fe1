//! curand's functions, one declaration each. Made by `cargo xtask import-headers`; what it goes by stands in `xtask/data/curand.rules`.

/// Calls `$then` with every declaration: `class [majors] fn name(parameter: mode, …);`, in groups. The modes are those of [`library`](crate::api::library).
#[macro_export]
#[rustfmt::skip]
macro_rules! curand_api {
    ($($then:tt)+) => { $($then)+! {
        group "Distributions" {
            sync [10] fn curandCreatePoissonDistribution(lambda: f64, discrete_distribution: host_out(8));
            sync [10] fn curandDestroyDistribution(discrete_distribution: i64);
        }
        group "Generation" {
            async [10] fn curandGenerate(generator: handle, outputPtr: out(num; 4), num: i64);
            async [10] fn curandGenerateLogNormal(generator: handle, outputPtr: out(n; 4), n: i64, mean: f32, stddev: f32);
            async [10] fn curandGenerateLogNormalDouble(generator: handle, outputPtr: out(n; 8), n: i64, mean: f64, stddev: f64);
            async [10] fn curandGenerateLongLong(generator: handle, outputPtr: out(num; 8), num: i64);
            async [10] fn curandGenerateNormal(generator: handle, outputPtr: out(n; 4), n: i64, mean: f32, stddev: f32);
            async [10] fn curandGenerateNormalDouble(generator: handle, outputPtr: out(n; 8), n: i64, mean: f64, stddev: f64);
            async [10] fn curandGeneratePoisson(generator: handle, outputPtr: out(n; 4), n: i64, lambda: f64);
            sync [10] fn curandGeneratePoissonMethod(generator: handle, outputPtr: out(n; 4), n: i64, lambda: f64, method: i32);
            async [10] fn curandGenerateSeeds(generator: handle);
            async [10] fn curandGenerateUniform(generator: handle, outputPtr: out(num; 4), num: i64);
            async [10] fn curandGenerateUniformDouble(generator: handle, outputPtr: out(num; 8), num: i64);
        }
        group "Generators" {
            local [10] fn curandCreateGenerator(generator: dev, rng_type: i32);
            local [10] fn curandCreateGeneratorHost(generator: dev, rng_type: i32);
            local [10] fn curandDestroyGenerator(generator: handle);
            local [10] fn curandGetProperty(type_: i32, value: dev);
            local [10] fn curandGetVersion(version: dev);
            state [10] fn curandSetGeneratorOffset(generator: handle, offset: i64);
            state [10] fn curandSetGeneratorOrdering(generator: handle, order: i32);
            state [10] fn curandSetPseudoRandomGeneratorSeed(generator: handle, seed: i64);
            state [10] fn curandSetQuasiRandomGeneratorDimensions(generator: handle, num_dimensions: i32);
            state [10] fn curandSetStream(generator: handle, stream: stream);
        }
        group "Tables" {
            sync [10] fn curandGetDirectionVectors32(vectors: table(2560000), set: i32);
            sync [10] fn curandGetDirectionVectors64(vectors: table(10240000), set: i32);
            sync [10] fn curandGetScrambleConstants32(constants: table(80000));
            sync [10] fn curandGetScrambleConstants64(constants: table(160000));
        }
    } };
}
