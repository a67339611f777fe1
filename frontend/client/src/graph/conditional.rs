//! Conditional nodes: the values that they ask for, and the graphs that they run.
//!
//! A kernel sets a condition by a handle that it receives as a parameter. The box has handles of its own, which are made whenever the graph is replayed; what the program holds is a
//! number of ours that no other parameter is likely to be, and the replay puts the box's in its place.

use std::sync::{Arc, Weak};

use gvirtus_wire::api::types::error;
use gvirtus_wire::codec::Params;
use parking_lot::Mutex;

use super::{GRAPHS, Graph, forget_nodes};
use crate::driver::Result;

/// Upper half of a handle that programs get.
const TAG: u64 = 0xb1c7_93e5_0000_0000;

/// A condition, as the program asked for it.
#[derive(Clone)]
struct Condition {
    graph: Weak<Graph>,
    value: u32,
    flags: u32,
    used: bool,
    /// Its node has been taken away.
    gone: bool,
}

static CONDITIONS: Mutex<Vec<Condition>> = Mutex::new(Vec::new());

/// `CU_GRAPH_COND_TYPE_*`.
const IF: u32 = 0;
const WHILE: u32 = 1;
const SWITCH: u32 = 2;
/// A switch with more cases than this is not believed.
const MOST_BODIES: u32 = 1 << 16;

/// What a conditional node does.
pub(crate) struct Conditional {
    /// As the program knows the condition.
    pub(crate) handle: u64,
    /// `CUgraphConditionalNodeType`.
    pub(crate) kind: u32,
    pub(crate) bodies: Vec<Arc<Graph>>,
    /// The graphs' handles: what the program gets that made the node.
    pointers: Box<[usize]>,
}

/// Makes a condition of a graph; the result is what the program gets.
pub(crate) fn create(graph: &Arc<Graph>, value: u32, flags: u32) -> u64 {
    let mut conditions = CONDITIONS.lock();
    conditions.push(Condition {
        graph: Arc::downgrade(graph),
        value,
        flags,
        used: false,
        gone: false,
    });
    TAG | conditions.len() as u64
}

/// A condition's place, if it is one.
fn place(handle: u64) -> Option<usize> {
    let number = usize::try_from(handle & !TAG).ok()?;
    (handle & TAG == TAG && number < 1 << 32)
        .then(|| number.checked_sub(1))
        .flatten()
}

/// A condition's value at each launch, and its flags.
pub(crate) fn described(handle: u64) -> Option<(u32, u32)> {
    let conditions = CONDITIONS.lock();
    let condition = conditions.get(place(handle)?)?;
    Some((condition.value, condition.flags))
}

/// Whether a graph has a condition that no node of it asks for.
pub(crate) fn unused(graph: &Graph) -> bool {
    CONDITIONS.lock().iter().any(|condition| {
        let mine = std::ptr::eq(condition.graph.as_ptr(), graph);
        mine && (!condition.used || condition.gone) && condition.graph.strong_count() > 0
    })
}

/// Whether there are any.
fn any() -> bool {
    !CONDITIONS.lock().is_empty()
}

/// Parameters of a kernel with the box's handles of conditions, which `known` tells, in place of the program's.
///
/// # Errors
/// `CUDA_ERROR_NOT_SUPPORTED` for a condition that is not known there.
pub(crate) fn with_handles(block: &[u8], known: impl Fn(u64) -> Option<u64>) -> Result<Params> {
    let mut block = Params::from_slice(block);
    if !any() {
        return Ok(block);
    }
    for word in block.chunks_exact_mut(8) {
        let value = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        if described(value).is_some() {
            let made = known(value).ok_or_else(|| {
                crate::log::unsupported("a kernel that sets a condition of an inner graph");
                error::ERROR_NOT_SUPPORTED
            })?;
            word.copy_from_slice(&made.to_ne_bytes());
        }
    }
    Ok(block)
}

impl Conditional {
    /// A node for a graph, with graphs that are empty yet.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for a condition of another graph or node, and for a number of graphs that the kind cannot have.
    pub(crate) fn new(graph: &Graph, handle: u64, kind: u32, size: u32) -> Result<Arc<Self>> {
        let fits = match kind {
            IF => (1..=2).contains(&size),
            WHILE => size == 1,
            SWITCH => (1..=MOST_BODIES).contains(&size),
            _ => false,
        };
        let at = place(handle).ok_or(error::ERROR_INVALID_VALUE)?;
        {
            let mut conditions = CONDITIONS.lock();
            let condition = conditions.get_mut(at).ok_or(error::ERROR_INVALID_VALUE)?;
            let of = condition.graph.upgrade();
            let mine = of.is_some_and(|of| std::ptr::eq(&raw const *of, graph));
            if !fits || !mine || condition.used {
                return Err(error::ERROR_INVALID_VALUE);
            }
            condition.used = true;
        }
        let body = |_| {
            GRAPHS.try_insert(|handle, id| Ok(Graph::new(id, graph.context, handle as usize, true)))
        };
        let bodies = (0..size).map(body).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self {
            handle,
            kind,
            pointers: bodies.iter().map(|body| body.handle).collect(),
            bodies,
        }))
    }

    /// Where the handles of the node's graphs lie, as long as the node lives.
    pub(crate) fn pointers(&self) -> u64 {
        self.pointers.as_ptr() as u64
    }

    /// The same with its graphs as they are now.
    pub(crate) fn frozen(&self) -> Arc<Self> {
        let bodies = self.bodies.iter();
        Arc::new(Self {
            handle: self.handle,
            kind: self.kind,
            bodies: bodies
                .map(|body| Graph::unlisted(body.nodes.lock().frozen()))
                .collect(),
            pointers: Box::default(),
        })
    }

    /// The node is gone, and its graphs with it.
    pub(crate) fn forget(&self) {
        if let Some(at) = place(self.handle)
            && let Some(condition) = CONDITIONS.lock().get_mut(at)
        {
            condition.gone = true;
        }
        for body in self.bodies.iter().filter(|body| body.handle != 0) {
            GRAPHS.remove(body.handle as *mut std::ffi::c_void);
            forget_nodes(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_for_one_node_of_its_graph() {
        let graph = Graph::nobodys();
        let other = Graph::nobodys();
        let handle = create(&graph, 7, 1);
        assert_eq!(described(handle), Some((7, 1)));
        assert_eq!(described(handle + (1 << 31)), None);
        assert_eq!(described(5), None);
        for (graph, kind, size) in [
            (&other, WHILE, 1),
            (&graph, WHILE, 2),
            (&graph, IF, 0),
            (&graph, IF, 3),
            (&graph, SWITCH, 0),
            (&graph, 3, 1),
        ] {
            assert_eq!(
                Conditional::new(graph, handle, kind, size).err(),
                Some(error::ERROR_INVALID_VALUE)
            );
        }
        let node = Conditional::new(&graph, handle, IF, 2).unwrap();
        assert_eq!(node.bodies.len(), 2);
        assert!(Conditional::new(&graph, handle, IF, 2).is_err(), "one node");
        let frozen = node.frozen();
        assert_eq!(frozen.bodies.len(), 2);
        node.forget();
    }
}
