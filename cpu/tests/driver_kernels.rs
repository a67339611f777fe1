//! Modules and kernels: loading, launching, faults, printing, libraries, occupancy, fat binaries.
#![allow(
    missing_docs,
    clippy::macro_metavars_in_unsafe,
    reason = "a test, whose calls go to C functions"
)]

mod driver_common;

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use driver_common::*;

const KERNELS: &str = include_str!("driver_common/kernels.ptx");
const COOPERATIVE: &str = include_str!("driver_common/cooperative.ptx");

#[test]
fn a_kernel_computes() {
    let _context = OwnContext::new();
    let scale = function(load(KERNELS), "scale");
    let (n, factor) = (1000_i32, 3.0_f32);
    let memory = alloc(4000);
    let data: Vec<f32> = (0..n).map(|i| i as f32).collect();
    upload(memory, &data);
    assert_eq!(
        launch(
            scale,
            8,
            128,
            null_mut(),
            &mut arguments![memory, factor, n]
        ),
        0
    );
    let found = download::<f32>(memory, 1000);
    assert!(found.iter().enumerate().all(|(i, &x)| x == i as f32 * 3.0));
    // The same by the packed block.
    let mut block = [0_u8; 16];
    block[..8].copy_from_slice(&memory.to_le_bytes());
    block[8..12].copy_from_slice(&0.5_f32.to_le_bytes());
    block[12..].copy_from_slice(&n.to_le_bytes());
    let size = 16_usize;
    let key = |number: usize| std::ptr::without_provenance_mut(number);
    let mut extra = [
        key(1),
        block.as_mut_ptr().cast(),
        key(2),
        (&raw const size).cast_mut().cast(),
        key(0),
    ];
    ok!(cuLaunchKernel(
        scale,
        8,
        1,
        1,
        128,
        1,
        1,
        0,
        null_mut(),
        null_mut(),
        extra.as_mut_ptr()
    ));
    assert_eq!(download::<f32>(memory, 3), [0.0, 1.5, 3.0]);
    let size = 12_usize;
    extra[3] = (&raw const size).cast_mut().cast();
    assert_eq!(
        cu!(cuLaunchKernel(
            scale,
            8,
            1,
            1,
            128,
            1,
            1,
            0,
            null_mut(),
            null_mut(),
            extra.as_mut_ptr()
        )),
        ERROR_INVALID_VALUE
    );
}

#[test]
fn variables_and_constants() {
    let _context = OwnContext::new();
    let module = load(KERNELS);
    let (bump, out) = (function(module, "bump"), alloc(4));
    let (mut counter, mut size) = (0, 0);
    ok!(cuModuleGetGlobal_v2(
        &mut counter,
        &mut size,
        module,
        c"counter".as_ptr()
    ));
    assert_eq!(size, 4);
    assert_eq!(download::<i32>(counter, 1), [7]);
    upload(counter, &[40_i32]);
    assert_eq!(launch(bump, 1, 1, null_mut(), &mut arguments![out]), 0);
    assert_eq!(download::<i32>(out, 1), [42]);
    assert_eq!(download::<i32>(counter, 1), [41]);
    let mut table = 0;
    ok!(cuModuleGetGlobal_v2(
        &mut table,
        &mut size,
        module,
        c"table".as_ptr()
    ));
    upload(table + 4, &[1.0e2_f32]);
    assert_eq!(launch(bump, 1, 1, null_mut(), &mut arguments![out]), 0);
    assert_eq!(download::<i32>(out, 1), [141]);
    assert_eq!(
        cu!(cuModuleGetGlobal_v2(
            &mut table,
            &mut size,
            module,
            c"nothing".as_ptr()
        )),
        ERROR_NOT_FOUND
    );
    assert_eq!(
        cu!(cuMemFree_v2(table)),
        ERROR_INVALID_VALUE,
        "a module's memory is not the program's to free"
    );
    ok!(cuModuleUnload(module));
    assert_eq!(
        cu!(cuMemcpyDtoH_v2((&raw mut size).cast(), table, 4)),
        ERROR_INVALID_VALUE
    );
    assert_eq!(
        launch(bump, 1, 1, null_mut(), &mut arguments![out]),
        ERROR_INVALID_HANDLE
    );
}

#[test]
fn launches_are_checked() {
    let _context = OwnContext::new();
    let module = load(KERNELS);
    let (wild, bounded) = (function(module, "wild"), function(module, "bounded"));
    let memory = alloc(4);
    let mut arguments = arguments![memory];
    let mut shape = |f, grid: [u32; 3], block: [u32; 3], shared| {
        cu!(cuLaunchKernel(
            f,
            grid[0],
            grid[1],
            grid[2],
            block[0],
            block[1],
            block[2],
            shared,
            null_mut(),
            arguments.as_mut_ptr(),
            null_mut()
        ))
    };
    assert_eq!(shape(wild, [1; 3], [1; 3], 0), 0);
    assert_eq!(shape(wild, [0, 1, 1], [1; 3], 0), ERROR_INVALID_VALUE);
    assert_eq!(shape(wild, [1; 3], [1, 0, 1], 0), ERROR_INVALID_VALUE);
    assert_eq!(shape(wild, [1, 65536, 1], [1; 3], 0), ERROR_INVALID_VALUE);
    assert_eq!(shape(wild, [1; 3], [1025, 1, 1], 0), ERROR_INVALID_VALUE);
    assert_eq!(shape(wild, [1; 3], [64, 32, 1], 0), ERROR_INVALID_VALUE);
    assert_eq!(shape(wild, [1; 3], [1, 1, 65], 0), ERROR_INVALID_VALUE);
    assert_eq!(
        shape(wild, [1; 3], [32, 1, 1], 49 << 10),
        ERROR_INVALID_VALUE
    );
    assert_eq!(shape(bounded, [1; 3], [64, 1, 1], 0), 0);
    assert_ne!(shape(bounded, [1; 3], [65, 1, 1], 0), 0);
    assert_eq!(
        cu!(cuLaunchKernel(
            wild,
            1,
            1,
            1,
            1,
            1,
            1,
            0,
            null_mut(),
            null_mut(),
            null_mut()
        )),
        ERROR_INVALID_VALUE
    );
    ok!(cuCtxSynchronize());
    assert_eq!(download::<i32>(memory, 1), [64]);
}

#[test]
fn dynamic_shared_memory_by_permission() {
    let _context = OwnContext::new();
    let dynamic = function(load(KERNELS), "dynamic");
    let out = alloc(4);
    let count = 20_000_i32;
    ok!(cuMemsetD32_v2(out, 0, 1));
    ok!(cuCtxSynchronize());
    let mut arguments = arguments![out, count];
    let mut start = || {
        cu!(cuLaunchKernel(
            dynamic,
            1,
            1,
            1,
            256,
            1,
            1,
            80_000,
            null_mut(),
            arguments.as_mut_ptr(),
            null_mut()
        ))
    };
    assert_eq!(start(), ERROR_INVALID_VALUE);
    assert_eq!(
        cu!(cuFuncSetAttribute(dynamic, 8, 200_000)),
        ERROR_INVALID_VALUE
    );
    ok!(cuFuncSetAttribute(dynamic, 8, 80_000));
    assert_eq!(start(), 0);
    assert_eq!(download::<i32>(out, 1), [199_990_000]);
}

#[test]
fn faults_are_sticky_and_end_with_the_context() {
    let _own = OwnContext::new();
    for (name, code) in [("wild", ERROR_ILLEGAL_ADDRESS), ("refuse", ERROR_ASSERT)] {
        let context = OwnContext::new();
        let kernel = function(load(KERNELS), name);
        let stream = stream(1);
        let event = event(0);
        let argument = 0xdead_0000_0000_u64;
        assert_eq!(
            launch(kernel, 1, 32, stream, &mut arguments![argument]),
            0,
            "the launch itself succeeds"
        );
        // What was queued before the fault was seen may or may not report it; waiting does.
        cu!(cuEventRecord(event, stream));
        assert_eq!(cu!(cuStreamSynchronize(stream)), code);
        let mut address = 0;
        assert_eq!(cu!(cuMemAlloc_v2(&mut address, 64)), code);
        assert_eq!(cu!(cuCtxSynchronize()), code);
        assert_eq!(cu!(cuEventQuery(event)), code);
        assert_eq!(
            launch(kernel, 1, 32, stream, &mut arguments![argument]),
            code
        );
        drop(context);
        ok!(cuCtxSynchronize());
    }
}

#[test]
fn kernels_on_two_streams_run_side_by_side() {
    let _context = OwnContext::new();
    let module = load(KERNELS);
    let (spin, raise) = (function(module, "spin"), function(module, "raise"));
    let flag = alloc(4);
    ok!(cuMemsetD32_v2(flag, 0, 1));
    ok!(cuCtxSynchronize());
    let streams: Vec<_> = (0..12).map(|_| stream(1)).collect();
    for &stream in &streams {
        assert_eq!(launch(spin, 1, 1, stream, &mut arguments![flag]), 0);
    }
    let last = stream(1);
    assert_eq!(launch(raise, 1, 1, last, &mut arguments![flag]), 0);
    ok!(cuCtxSynchronize());
}

#[test]
fn destroying_a_context_stops_its_kernels() {
    let _own = OwnContext::new();
    let context = OwnContext::new();
    let flag = alloc(4);
    ok!(cuMemsetD32_v2(flag, 0, 1));
    ok!(cuCtxSynchronize());
    assert_eq!(
        launch(
            function(load(KERNELS), "spin"),
            1,
            1,
            stream(1),
            &mut arguments![flag]
        ),
        0
    );
    drop(context);
}

#[test]
fn kernels_allocate_from_the_heap() {
    let _context = OwnContext::new();
    let module = load(KERNELS);
    let (place, value) = (alloc(8), alloc(4));
    assert_eq!(
        launch(
            function(module, "heap"),
            1,
            1,
            null_mut(),
            &mut arguments![place]
        ),
        0
    );
    assert_eq!(
        launch(
            function(module, "unheap"),
            1,
            1,
            null_mut(),
            &mut arguments![place, value]
        ),
        0
    );
    assert_eq!(download::<i32>(value, 1), [42]);
    assert_eq!(
        cu!(cuCtxSetLimit(2, 1 << 24)),
        ERROR_INVALID_VALUE,
        "the heap is in use"
    );
}

#[test]
fn cooperative_launches() {
    let _context = OwnContext::new();
    let together = function(load(COOPERATIVE), "together");
    let out = alloc(8);
    let n = 0_i32;
    ok!(cuMemsetD32_v2(out, 0, 2));
    ok!(cuCtxSynchronize());
    ok!(cuLaunchCooperativeKernel(
        together,
        4,
        1,
        1,
        32,
        1,
        1,
        0,
        null_mut(),
        arguments![out, n].as_mut_ptr()
    ));
    assert_eq!(download::<i32>(out, 2), [128, 128]);
    let too_many = 1 << 20;
    assert_eq!(
        cu!(cuLaunchCooperativeKernel(
            together,
            too_many,
            1,
            1,
            32,
            1,
            1,
            0,
            null_mut(),
            arguments![out, n].as_mut_ptr()
        )),
        ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
    );
    let mut attribute = CUlaunchAttribute {
        id: 2,
        pad: [0; 4],
        value: CUstreamAttrValue {
            words: [1, 0, 0, 0, 0, 0, 0, 0],
        },
    };
    let mut config = CUlaunchConfig {
        gridDimX: 4,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 32,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: 0,
        hStream: null_mut(),
        attrs: &mut attribute,
        numAttrs: 1,
    };
    ok!(cuMemsetD32_v2(out, 0, 2));
    ok!(cuCtxSynchronize());
    ok!(cuLaunchKernelEx(
        &config,
        together,
        arguments![out, n].as_mut_ptr(),
        null_mut()
    ));
    assert_eq!(download::<i32>(out, 2), [128, 128]);
    config.gridDimX = too_many;
    assert_eq!(
        cu!(cuLaunchKernelEx(
            &config,
            together,
            arguments![out, n].as_mut_ptr(),
            null_mut()
        )),
        ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
    );
}

#[test]
fn a_captured_kernel_keeps_its_arguments() {
    let _context = OwnContext::new();
    let scale = function(load(KERNELS), "scale");
    let stream = stream(1);
    let memory = alloc(64);
    upload(memory, &[1.0_f32; 16]);
    let (mut graph, mut executable) = (null_mut(), null_mut());
    ok!(cuStreamBeginCapture_v2(stream, 2));
    {
        let (factor, n) = (2.0_f32, 16_i32);
        assert_eq!(
            launch(scale, 1, 16, stream, &mut arguments![memory, factor, n]),
            0
        );
    }
    ok!(cuStreamEndCapture(stream, &mut graph));
    ok!(cuGraphInstantiateWithFlags(&mut executable, graph, 0));
    for _ in 0..5 {
        ok!(cuGraphLaunch(executable, stream));
    }
    ok!(cuStreamSynchronize(stream));
    assert_eq!(download::<f32>(memory, 16), [32.0; 16]);
}

#[test]
fn attributes_parameters_and_occupancy() {
    let _context = OwnContext::new();
    let module = load(KERNELS);
    let scale = function(module, "scale");
    let (mut value, mut offset, mut size, mut name) = (0, 0, 0, null());
    ok!(cuFuncGetAttribute(&mut value, 5, scale));
    assert_eq!(value, 75);
    ok!(cuFuncGetAttribute(
        &mut value,
        0,
        function(module, "bounded")
    ));
    assert_eq!(value, 64);
    for (index, expected) in [(0, 8), (8, 4), (12, 4)].into_iter().enumerate() {
        ok!(cuFuncGetParamInfo(scale, index, &mut offset, &mut size));
        assert_eq!((offset, size), expected);
    }
    assert_eq!(
        cu!(cuFuncGetParamInfo(scale, 3, &mut offset, &mut size)),
        ERROR_INVALID_VALUE
    );
    ok!(cuFuncGetName(&mut name, scale));
    // SAFETY: the module lives.
    assert_eq!(unsafe { CStr::from_ptr(name) }.to_str().unwrap(), "scale");
    ok!(cuOccupancyMaxActiveBlocksPerMultiprocessor(
        &mut value, scale, 1024, 0
    ));
    assert_eq!(value, 2);
    ok!(cuOccupancyMaxActiveBlocksPerMultiprocessor(
        &mut value,
        scale,
        32,
        48 << 10
    ));
    assert_eq!(value, 3);
    let (mut grid, mut block) = (0, 0);
    ok!(cuOccupancyMaxPotentialBlockSize(
        &mut grid, &mut block, scale, None, 0, 0
    ));
    assert_eq!(block, 1024);
    assert!(grid >= 2);
    let mut count = 0;
    ok!(cuModuleGetFunctionCount(&mut count, module));
    let mut all = vec![null_mut(); count as usize];
    ok!(cuModuleEnumerateFunctions(all.as_mut_ptr(), count, module));
    assert!(all.contains(&scale));
}

fn load_library(text: &str) -> CUlibrary {
    let text = CString::new(text).unwrap();
    let mut library = null_mut();
    ok!(cuLibraryLoadData(
        &mut library,
        text.as_ptr().cast(),
        null_mut(),
        null_mut(),
        0,
        null_mut(),
        null_mut(),
        0
    ));
    library
}

#[test]
fn libraries_give_each_context_its_module() {
    let _own = OwnContext::new();
    let library = load_library(KERNELS);
    let (mut kernel, mut counter, mut size) = (null_mut(), 0, 0);
    ok!(cuLibraryGetKernel(&mut kernel, library, c"bump".as_ptr()));
    for _ in 0..2 {
        let _context = OwnContext::new();
        let out = alloc(4);
        // A kernel's handle stands for its function in the current context.
        assert_eq!(launch(kernel, 1, 1, null_mut(), &mut arguments![out]), 0);
        assert_eq!(download::<i32>(out, 1), [9]);
        ok!(cuLibraryGetGlobal(
            &mut counter,
            &mut size,
            library,
            c"counter".as_ptr()
        ));
        assert_eq!(download::<i32>(counter, 1), [8]);
    }
    assert_eq!(
        cu!(cuLibraryGetKernel(&mut kernel, library, c"none".as_ptr())),
        ERROR_NOT_FOUND
    );
    ok!(cuLibraryUnload(library));
    assert_eq!(cu!(cuLibraryUnload(library)), ERROR_INVALID_HANDLE);
}

/// The variables of a context that is gone went with it; at their place lie those of another context since.
#[test]
fn unloading_a_library_leaves_other_contexts_variables() {
    let lasting = OwnContext::new();
    let library = load_library(KERNELS);
    let (mut counter, mut size) = (0, 0);
    // Tests beside this one may take the place first.
    for _ in 0..16 {
        let gone = OwnContext::new();
        ok!(cuLibraryGetGlobal(
            &mut counter,
            &mut size,
            library,
            c"counter".as_ptr()
        ));
        drop(gone);
    }
    ok!(cuCtxSetCurrent(lasting.0));
    let module = load(KERNELS);
    let mut own = 0;
    ok!(cuModuleGetGlobal_v2(
        &mut own,
        &mut size,
        module,
        c"counter".as_ptr()
    ));
    ok!(cuLibraryUnload(library));
    upload(own, &[40_i32]);
    assert_eq!(download::<i32>(own, 1), [40]);
}

#[test]
fn bad_ptx_is_explained() {
    let _context = OwnContext::new();
    let mut module = null_mut();
    let mut log = [0_u8; 512];
    let text = CString::new(".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry f() { frobnicate.u32 %r1; ret; }\n").unwrap();
    let mut options = [5_u32, 6];
    let mut values = [
        log.as_mut_ptr().cast(),
        std::ptr::without_provenance_mut(512),
    ];
    let code = cu!(cuModuleLoadDataEx(
        &mut module,
        text.as_ptr().cast(),
        2,
        options.as_mut_ptr(),
        values.as_mut_ptr()
    ));
    assert_eq!(code, ERROR_INVALID_PTX);
    let said = CStr::from_bytes_until_nul(&log).unwrap().to_str().unwrap();
    assert!(
        said.contains("line 4") && said.contains("frobnicate"),
        "{said}"
    );
    assert_eq!(values[1].addr(), said.len());
    let elf = b"\x7fELF\x02\x01\x01\0";
    assert_eq!(
        cu!(cuModuleLoadData(&mut module, elf.as_ptr().cast())),
        ERROR_NO_BINARY_FOR_GPU
    );
    assert_eq!(
        cu!(cuModuleLoadData(&mut module, null())),
        ERROR_INVALID_VALUE
    );
}

#[test]
fn linking_one_text() {
    let _context = OwnContext::new();
    let (mut state, mut image, mut size, mut module) = (null_mut(), null_mut(), 0, null_mut());
    ok!(cuLinkCreate_v2(0, null_mut(), null_mut(), &mut state));
    let text = CString::new(KERNELS).unwrap();
    ok!(cuLinkAddData_v2(
        state,
        1,
        text.as_ptr().cast_mut().cast(),
        KERNELS.len() + 1,
        null(),
        0,
        null_mut(),
        null_mut()
    ));
    ok!(cuLinkComplete(state, &mut image, &mut size));
    ok!(cuModuleLoadData(&mut module, image));
    ok!(cuLinkDestroy(state));
    function(module, "scale");
}

#[test]
fn the_linker_says_what_is_wrong() {
    let _context = OwnContext::new();
    let mut buffer = [0; 256];
    let log: *mut std::ffi::c_char = buffer.as_mut_ptr();
    let mut names = [5, 6];
    let mut values = [log.cast(), std::ptr::without_provenance_mut(buffer.len())];
    let mut state = null_mut();
    ok!(cuLinkCreate_v2(
        2,
        names.as_mut_ptr(),
        values.as_mut_ptr(),
        &mut state
    ));
    let add = |sort, text: &str| {
        let text = CString::new(text).unwrap();
        let size = text.as_bytes_with_nul().len();
        let data = text.as_ptr().cast_mut().cast();
        let (names, values) = (null_mut(), null_mut());
        let status = cu!(cuLinkAddData_v2(
            state,
            sort,
            data,
            size,
            null(),
            0,
            names,
            values
        ));
        // SAFETY: the driver writes terminated text into the buffer.
        let said = unsafe { CStr::from_ptr(log) }.to_string_lossy();
        (status, said.into_owned())
    };
    let broken = ".version 7.0\n.target sm_70\n.address_size 64\nnonsense;\n";
    let (status, said) = add(1, broken);
    assert_eq!(status, ERROR_INVALID_PTX);
    assert!(said.contains("line 4"), "{said}");
    assert_eq!(add(1, KERNELS), (0, String::new()));
    // The same once more: everything is defined twice.
    assert_eq!(add(1, KERNELS).0, 0);
    let (mut image, mut size) = (null_mut(), 0);
    assert_eq!(
        cu!(cuLinkComplete(state, &mut image, &mut size)),
        ERROR_INVALID_PTX
    );
    // SAFETY: as above.
    let said = unsafe { CStr::from_ptr(log) }.to_string_lossy();
    assert!(said.contains("several texts"), "{said}");
    ok!(cuLinkDestroy(state));
}

/// The child of [`output_comes_at_synchronization`]: not a test of its own.
#[test]
fn output_child() {
    if std::env::var_os("DRIVER_OUTPUT_CHILD").is_none() {
        return;
    }
    let _context = OwnContext::new();
    let hello = function(load(KERNELS), "hello");
    let (stream, number) = (stream(1), 5_i32);
    assert_eq!(launch(hello, 1, 2, stream, &mut arguments![number]), 0);
    while cu!(cuStreamQuery(stream)) == ERROR_NOT_READY {
        std::thread::yield_now();
    }
    say("host before\n");
    ok!(cuStreamSynchronize(stream));
    say("host after\n");
}

/// Writes by C's buffered output, as a C program would.
fn say(text: &str) {
    let text = CString::new(text).unwrap();
    // SAFETY: a plain format without directives that take arguments.
    unsafe { libc::printf(text.as_ptr()) };
}

#[test]
fn output_comes_at_synchronization() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "output_child", "--nocapture"])
        .env("DRIVER_OUTPUT_CHILD", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("host") || line.contains("kernel says"))
        .collect();
    let expected = [
        "host before",
        "kernel says 5 from 0",
        "kernel says 5 from 1",
        "host after",
    ];
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines
            .iter()
            .zip(expected)
            .all(|(line, expected)| line.ends_with(expected)),
        "{text}"
    );
}
