//! What the driver tells of a stream that captures, and where its next node goes.

use std::borrow::Cow;
use std::ffi::c_void;

use crate::driver::{Handle, cu};
use crate::errors::{ERROR_STREAM_CAPTURE_INVALIDATED, Result};
use crate::session::Session;
use crate::streams::Stream;

/// `CU_STREAM_CAPTURE_STATUS_ACTIVE`.
const ACTIVE: u32 = 1;
/// `CU_STREAM_SET_CAPTURE_DEPENDENCIES`.
const SET: u32 = 1;

/// `CUgraphEdgeData`.
pub(crate) type EdgeData = [u8; 8];
const PLAIN: EdgeData = [0; 8];

/// The driver's nodes that another one comes after, and how.
#[derive(Clone, Default)]
pub(crate) struct Dependencies {
    nodes: Vec<usize>,
    edges: Vec<EdgeData>,
}

impl Dependencies {
    /// On one node, plainly.
    pub(crate) fn on(node: *mut c_void) -> Self {
        Self {
            nodes: vec![node as usize],
            edges: vec![PLAIN],
        }
    }

    /// On the same nodes, in another way than plainly.
    pub(crate) fn by(&self, data: EdgeData) -> Cow<'_, Self> {
        if data == PLAIN {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self {
            nodes: self.nodes.clone(),
            edges: vec![data; self.nodes.len()],
        })
    }

    /// On all that any of them names; of several edges from one node one stays, a plain one if there is one.
    pub(crate) fn merged<'d>(all: impl IntoIterator<Item = &'d Self>) -> Self {
        let both = |d: &'d Self| d.nodes.iter().copied().zip(d.edges.iter().copied());
        let mut pairs: Vec<(usize, EdgeData)> = all.into_iter().flat_map(both).collect();
        pairs.sort_unstable();
        pairs.dedup_by_key(|(node, _)| *node);
        let (nodes, edges) = pairs.into_iter().unzip();
        Self { nodes, edges }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes, as the driver takes them: null for none.
    pub(crate) fn nodes(&self) -> *const *mut c_void {
        match self.nodes.is_empty() {
            true => std::ptr::null(),
            false => self.nodes.as_ptr().cast(),
        }
    }

    /// The edges' data, as the driver takes them: null if all are plain ones, which older drivers know alone.
    pub(crate) fn edges(&self) -> *const c_void {
        match self.edges.iter().all(|data| *data == PLAIN) {
            true => std::ptr::null(),
            false => self.edges.as_ptr().cast(),
        }
    }
}

/// A capture as the driver knows it.
pub(crate) struct CaptureInfo {
    pub(crate) id: u64,
    /// The graph that it makes.
    pub(crate) graph: Handle,
    /// What the stream's next node depends on.
    pub(crate) dependencies: Dependencies,
}

impl Session {
    /// The capture that a stream takes part in.
    ///
    /// # Errors
    /// `CUDA_ERROR_STREAM_CAPTURE_INVALIDATED` if it takes part in none that is in order; the driver's.
    pub(crate) fn capture_info(&self, stream: &Stream) -> Result<CaptureInfo> {
        let (mut status, mut id, mut count) = (0, 0, 0);
        let mut graph = std::ptr::null_mut();
        let mut nodes: *const *mut c_void = std::ptr::null();
        let mut edges: *const c_void = std::ptr::null();
        // The older form refuses edges that are not plain ones.
        if self.driver.cuStreamGetCaptureInfo_v3.is_some() {
            cu!(
                self.driver,
                cuStreamGetCaptureInfo_v3(
                    stream.raw.ptr(),
                    &raw mut status,
                    &raw mut id,
                    &raw mut graph,
                    &raw mut nodes,
                    &raw mut edges,
                    &raw mut count,
                )
            )?;
        } else {
            cu!(
                self.driver,
                cuStreamGetCaptureInfo_v2(
                    stream.raw.ptr(),
                    &raw mut status,
                    &raw mut id,
                    &raw mut graph,
                    &raw mut nodes,
                    &raw mut count,
                )
            )?;
        }
        if status != ACTIVE {
            return Err(ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        if nodes.is_null() {
            count = 0;
        }
        let depends = |at: usize| {
            // SAFETY: the driver's own arrays of so many elements, valid until the next call on the stream; it may leave out the edges' data.
            unsafe {
                let data = match edges.is_null() {
                    true => PLAIN,
                    false => edges.cast::<EdgeData>().add(at).read(),
                };
                (nodes.add(at).read() as usize, data)
            }
        };
        let (nodes, edges) = (0..count).map(depends).unzip();
        Ok(CaptureInfo {
            id,
            graph: Handle::of(graph),
            dependencies: Dependencies { nodes, edges },
        })
    }

    /// Says what the next node of a capturing stream depends on.
    ///
    /// # Errors
    /// The driver's.
    pub(crate) fn set_dependencies(&self, stream: &Stream, on: &Dependencies) -> Result<()> {
        // Read alone, whatever the type says.
        let nodes = on.nodes().cast_mut();
        if self.driver.cuStreamUpdateCaptureDependencies_v2.is_none() {
            return cu!(
                self.driver,
                cuStreamUpdateCaptureDependencies(stream.raw.ptr(), nodes, on.len(), SET)
            );
        }
        cu!(
            self.driver,
            cuStreamUpdateCaptureDependencies_v2(
                stream.raw.ptr(),
                nodes,
                on.edges(),
                on.len(),
                SET
            )
        )
    }

    /// Before a stream begins to capture: what was issued before is not part of the capture. Nor may markers of other streams come later: one on the legacy stream would
    /// end it. The stream's context is current afterwards.
    pub(crate) fn before_capture(&self, stream: &Stream) -> Result<()> {
        self.progress.mark(self, &stream.lane);
        self.progress.mark_dirty(self, |_| true);
        stream.context().make_current()
    }
}
