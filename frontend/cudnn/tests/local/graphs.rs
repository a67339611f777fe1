//! The graph API's descriptors, and its execution.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use gvirtus_cudnn_core::status::{
    BAD_PARAM_NOT_FINALIZED, BAD_PARAM_NULL_POINTER, EXECUTION_FAILED_CUDA_DRIVER,
};
use gvirtus_cudnn_core::{declared, handle};
use gvirtus_wire::api::library::LibraryExecute;
use proptest::collection::hash_set;
use session::CAPTURING;

use super::*;

pub(super) const CALLED: &[&str] = &[
    "cudnnBackendCreateDescriptor",
    "cudnnBackendDestroyDescriptor",
    "cudnnBackendExecute",
];

/// Types of descriptors that the box has taken.
static KNOWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

proptest! {
    /// Descriptors of graphs of a type that cuDNN 9 surely has are made here; of others its library is asked, until it has said yes.
    #[test]
    fn descriptors_of_graphs_live_from_create_to_destroy(
        steps in vec((-3..60, any::<bool>(), any::<prop::sample::Index>()), 1..30),
    ) {
        begun();
        let mut all: Vec<(u64, bool)> = Vec::new();
        for (kind, refused, which) in steps {
            prop_assert_eq!(alone("nowhere", || unsafe { cudnnBackendCreateDescriptor(kind, NULL) }), BAD_PARAM);
            let mut made = 7u64;
            RESULT.set(if refused { NOT_SUPPORTED } else { SUCCESS });
            let status = unsafe { cudnnBackendCreateDescriptor(kind, address(&mut made)) };
            RESULT.set(0);
            let asks = sent();
            let asks: Vec<&Sent> = asks.iter().filter(|sent| sent.command == command::DEFINE).collect();
            let here = (0..=33).contains(&kind) && kind != 6;
            let known = here || KNOWN.lock().unwrap().contains(&kind);
            prop_assert_eq!(asks.len(), usize::from(!known), "{}", kind);
            for ask in asks {
                let define: LibraryDefine = ask.decoded();
                prop_assert!(ask.wait);
                prop_assert_eq!(define.steps.len(), 1);
                prop_assert_eq!(define.steps[0].function, declared("cudnnBackendCreateDescriptor").id());
                prop_assert_eq!(&define.steps[0].words[..8], i64::from(kind).to_le_bytes());
            }
            if !known && refused {
                prop_assert_eq!((status, made), (NOT_SUPPORTED, 7));
            } else {
                prop_assert_eq!(status, SUCCESS);
                prop_assert!(made != 0 && all.iter().all(|(other, _)| *other != made));
                all.push((made, true));
                if !here {
                    KNOWN.lock().unwrap().insert(kind);
                }
            }
            if refused && !all.is_empty() {
                let one = which.index(all.len());
                let (descriptor, there) = all[one];
                let status = alone("the end", || cudnnBackendDestroyDescriptor(pointer(descriptor)));
                prop_assert_eq!(status, if there { SUCCESS } else { BAD_PARAM });
                all[one].1 = false;
            }
            alone("what is there", || -> Result<(), TestCaseError> {
                for (descriptor, there) in &all {
                    // A descriptor that is not finalized tells nothing, and none is another error.
                    let told = unsafe { cudnnBackendGetAttribute(pointer(*descriptor), 0, 3, 0, NULL, NULL) };
                    prop_assert_eq!(told, if *there { NOT_INITIALIZED } else { BAD_PARAM });
                }
                Ok(())
            })?;
        }
        prop_assert_eq!(alone("nothing", || cudnnBackendDestroyDescriptor(NULL)), SUCCESS);
    }
}

/// `cudnnBackendDescriptorType_t`, `cudnnBackendAttributeType_t`, `cudnnBackendAttributeName_t`.
mod graph {
    pub(super) const ENGINE_CONFIGURATION: i32 = 3;
    pub(super) const PLAN: i32 = 5;
    pub(super) const OPERATION_GRAPH: i32 = 15;
    pub(super) const VARIANT_PACK: i32 = 16;
    pub(super) const TENSOR: i32 = 17;

    pub(super) const DATA_TYPE: i32 = 1;
    pub(super) const BOOLEAN: i32 = 2;
    pub(super) const INT64: i32 = 3;
    pub(super) const VOID_PTR: i32 = 6;
    pub(super) const DESCRIPTOR: i32 = 15;
}

fn node(kind: i32) -> u64 {
    let mut made = 0u64;
    assert_eq!(
        unsafe { cudnnBackendCreateDescriptor(kind, address(&mut made)) },
        SUCCESS
    );
    made
}

fn put<T: Clone>(node: u64, name: i32, of: i32, elements: &[T]) {
    let mut elements = elements.to_vec();
    let count = elements.len() as i64;
    let at = elements.as_mut_ptr().cast();
    let status = unsafe { cudnnBackendSetAttribute(pointer(node), name, of, count, at) };
    assert_eq!(status, SUCCESS, "{name}");
}

fn finalized(node: u64) -> u64 {
    assert_eq!(cudnnBackendFinalize(pointer(node)), SUCCESS);
    node
}

/// A tensor of a graph, and what an execution is given for it.
#[derive(Debug, Clone)]
struct Tensor {
    uid: i64,
    by_value: bool,
    data_type: i32,
    size: usize,
    count: i64,
    value: [u8; 16],
    address: u64,
}

fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let types = prop_oneof![
        Just((0, 4)),
        Just((2, 2)),
        Just((3, 1)),
        Just((4, 4)),
        Just((9, 2)),
        Just((10, 8))
    ];
    let other = (
        any::<bool>(),
        types,
        1..=2i64,
        any::<[u8; 16]>(),
        any::<u64>(),
    );
    let uids = hash_set(any::<i64>(), 1..6);
    (uids, vec(other, 6)).prop_map(|(uids, others)| {
        let both = uids.into_iter().zip(others);
        both.map(
            |(uid, (by_value, (data_type, size), count, value, address))| Tensor {
                uid,
                by_value,
                data_type,
                size,
                count,
                value,
                address,
            },
        )
        .collect()
    })
}

/// A plan of these tensors that no one has made before, and its number.
fn plan(tensors: &[Tensor]) -> (u64, u32) {
    static NEW: AtomicI64 = AtomicI64::new(0);
    let made: Vec<u64> = tensors
        .iter()
        .map(|tensor| {
            let made = node(graph::TENSOR);
            put(made, 900, graph::INT64, &[16i64]);
            put(made, 901, graph::DATA_TYPE, &[tensor.data_type]);
            put(made, 902, graph::INT64, &[1, 1, tensor.count]);
            put(made, 903, graph::INT64, &[2i64, 2, 1]);
            put(made, 906, graph::INT64, &[tensor.uid]);
            put(made, 908, graph::BOOLEAN, &[u8::from(tensor.by_value)]);
            finalized(made)
        })
        .collect();
    let operations = node(graph::OPERATION_GRAPH);
    put(operations, 801, graph::DESCRIPTOR, &made);
    let engine = node(graph::ENGINE_CONFIGURATION);
    put(engine, 302, graph::DESCRIPTOR, &[finalized(operations)]);
    let plan = node(graph::PLAN);
    put(plan, 401, graph::DESCRIPTOR, &[finalized(engine)]);
    put(
        plan,
        404,
        graph::INT64,
        &[NEW.fetch_add(1, Ordering::Relaxed)],
    );
    sent();
    finalized(plan);
    let sent = sent();
    let [define] = sent.as_slice() else {
        panic!("a plan is told of once: {sent:?}");
    };
    (plan, define.decoded::<LibraryDefine>().object)
}

/// A pack that is not finalized.
fn pack(tensors: &mut [Tensor], workspace: Option<u64>) -> u64 {
    let pack = node(graph::VARIANT_PACK);
    let uids: Vec<i64> = tensors.iter().map(|tensor| tensor.uid).collect();
    put(pack, 1000, graph::INT64, &uids);
    let pointers: Vec<u64> = tensors
        .iter_mut()
        .map(|tensor| match tensor.by_value {
            true => tensor.value.as_mut_ptr() as u64,
            false => tensor.address,
        })
        .collect();
    put(pack, 1001, graph::VOID_PTR, &pointers);
    if let Some(workspace) = workspace {
        put(pack, 1003, graph::VOID_PTR, &[workspace]);
    }
    pack
}

/// What has to arrive: the workspace and what each tensor is, and the values on the host.
fn expected(tensors: &[Tensor], workspace: Option<u64>) -> (Vec<u8>, Vec<u8>) {
    let (mut words, mut values) = (vec![workspace.unwrap_or(0)], Vec::new());
    for tensor in tensors {
        if !tensor.by_value {
            words.push(tensor.address);
            continue;
        }
        words.push(values.len() as u64 / 16);
        let mut value = tensor.value;
        value[tensor.size * tensor.count as usize..].fill(0);
        values.extend_from_slice(&value);
    }
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    (words.collect(), values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What arrives is what was passed, on the handle's stream. cuDNN's word is waited for at the first execution of a kind that it takes, and never on a stream that is captured.
    #[test]
    fn an_execution_arrives_as_it_was_passed(
        mut tensors in tensors(),
        workspace in prop::option::of(any::<u64>()),
        stream: u64,
        elsewhere: u64,
    ) {
        begun();
        sent();
        let mut handle = 0u64;
        prop_assert_eq!(unsafe { cudnnCreate(address(&mut handle)) }, SUCCESS);
        let number = created(&sent());
        prop_assert_eq!(cudnnSetStream(pointer(handle), pointer(stream)), SUCCESS);
        let (plan, plan_number) = plan(&tensors);
        let execute = |pack| unsafe { cudnnBackendExecute(pointer(handle), pointer(plan), pointer(pack)) };
        let arrived = |tensors: &[Tensor], wait: bool| -> Result<(), TestCaseError> {
            let sent = sent();
            let [execution] = sent.as_slice() else {
                panic!("one command: {sent:?}");
            };
            prop_assert_eq!((execution.command, execution.wait), (command::EXECUTE, wait));
            prop_assert_eq!(execution.stream, Some(stream));
            let (words, values) = expected(tensors, workspace);
            let told: LibraryExecute = execution.decoded();
            prop_assert_eq!((told.handle, told.plan), (number, plan_number));
            prop_assert_eq!(told.words.as_slice(), words.as_slice());
            prop_assert_eq!(told.values, values);
            prop_assert_eq!(told.uids, tensors.iter().map(|tensor| tensor.uid).collect::<Vec<_>>());
            prop_assert_eq!(told.by_value, tensors.iter().map(|tensor| tensor.by_value).collect::<Vec<_>>());
            // The addresses are where the core looks for them.
            let (at, count) = execution.words;
            prop_assert_eq!(&execution.payload[at..][..8 * count], words.as_slice());
            Ok(())
        };

        let first = pack(&mut tensors, workspace);
        alone("what is not there", || {
            assert_eq!(execute(first), BAD_PARAM_NOT_FINALIZED);
            let plan = node(graph::PLAN);
            let run = |handle, plan, pack| unsafe { cudnnBackendExecute(pointer(handle), pointer(plan), pointer(pack)) };
            assert_eq!(run(handle, plan, first), BAD_PARAM_NOT_FINALIZED);
            assert_eq!(run(0, plan, first), BAD_PARAM_NULL_POINTER);
            assert_eq!(run(handle, 0, first), BAD_PARAM_NULL_POINTER);
            assert_eq!(run(handle, plan, 0), BAD_PARAM_NULL_POINTER);
            assert_eq!(run(plan, plan, first), BAD_PARAM);
            assert_eq!(run(handle, handle, first), BAD_PARAM);
        });
        alone("a pack", || finalized(first));
        // Captured: nobody waits.
        CAPTURING.set(true);
        prop_assert_eq!(execute(first), SUCCESS);
        arrived(&tensors, false)?;
        CAPTURING.set(false);
        // Refused: asked again the next time.
        RESULT.set(NOT_SUPPORTED);
        prop_assert_eq!(execute(first), NOT_SUPPORTED);
        RESULT.set(0);
        arrived(&tensors, true)?;
        FAILURE.set(999);
        prop_assert_eq!(execute(first), EXECUTION_FAILED_CUDA_DRIVER);
        FAILURE.set(0);
        arrived(&tensors, true)?;
        prop_assert_eq!(execute(first), SUCCESS);
        arrived(&tensors, true)?;
        // From then on never, with other values and at other addresses as aligned as these.
        prop_assert_eq!(execute(first), SUCCESS);
        arrived(&tensors, false)?;
        for tensor in &mut tensors {
            tensor.address = tensor.address.wrapping_add(elsewhere & !15);
            for byte in &mut tensor.value {
                *byte = byte.wrapping_add(elsewhere as u8);
            }
        }
        let second = finalized(pack(&mut tensors, workspace));
        sent();
        prop_assert_eq!(execute(second), SUCCESS);
        arrived(&tensors, false)?;
    }
}

/// A value on the host that is nowhere, or more than travels, is no execution.
#[test]
fn values_that_cannot_travel_are_refused() {
    begun();
    let handle = handle::create().unwrap();
    let tensor = |count| Tensor {
        uid: 1,
        by_value: true,
        data_type: 10,
        size: 8,
        count,
        value: [0; 16],
        address: 0,
    };
    let run = |tensors: &[Tensor], pack| {
        let (plan, _) = plan(tensors);
        alone("nothing", || unsafe {
            cudnnBackendExecute(pointer(handle), pointer(plan), pointer(pack))
        })
    };
    let mut large = [tensor(3)];
    let whole = finalized(pack(&mut large, None));
    assert_eq!(run(&large, whole), NOT_SUPPORTED);
    // Given as an address, and no value on the host.
    let mut nowhere = [tensor(1)];
    nowhere[0].by_value = false;
    let null = finalized(pack(&mut nowhere, None));
    assert_eq!(run(&[tensor(1)], null), BAD_PARAM_NULL_POINTER);
}
