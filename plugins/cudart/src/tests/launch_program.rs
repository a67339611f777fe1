//! A program that launches many kernels of which each changes what the one before left.

use super::kernels::function;
use super::*;
use crate::errors::ERROR_INVALID_VALUE;
use gvirtus_wire::codec::Params;

/// `*p = *p * 3 + amount`: whoever changes the order changes the result.
const PTX: &str = r"
.version 7.0
.target sm_70
.address_size 64
.visible .entry step(.param .u64 pointer, .param .u32 amount)
{
    .reg .b32 %r<4>;
    .reg .b64 %d<2>;
    ld.param.u64 %d0, [pointer];
    ld.param.u32 %r0, [amount];
    ld.global.u32 %r1, [%d0];
    mad.lo.u32 %r2, %r1, 3, %r0;
    st.global.u32 [%d0], %r2;
    ret;
}
";

pub(super) const BLOCKING: u32 = 0;
pub(super) const NON_BLOCKING: u32 = 1;

pub(super) struct Program {
    pub(super) client: Client,
    pub(super) function: u32,
    /// What the words in device memory must be.
    pub(super) words: Vec<u32>,
}

impl Program {
    pub(super) fn new(settings: &serde_json::Value) -> Self {
        let client = Client::with(settings);
        let function = function(&client.load(1, PTX).unwrap(), "step").function;
        client.write(client.device, &[0; 256]);
        Self {
            client,
            function,
            words: vec![0; 64],
        }
    }

    /// Takes the kernel from a module of its own.
    pub(super) fn load(&mut self, module: u32) {
        self.function = function(&self.client.load(module, PTX).unwrap(), "step").function;
    }

    pub(super) fn stream(&self, stream: u32, flags: u32) {
        self.client.cast(StreamCreate {
            stream,
            flags,
            priority: 0,
        });
    }

    /// A launch by a thread of the program; the number of its frame.
    pub(super) fn launch(&self, thread: u32, stream: u32, params: Params) -> u64 {
        let launch = Launch {
            function: self.function,
            stream,
            grid: [1; 3],
            block: [1; 3],
            shared: 0,
            params,
            attributes: Vec::new(),
        };
        let mut payload = Vec::new();
        launch.encode(&mut payload);
        let client = &self.client;
        let _order = client.order.lock();
        let sequence = client.sequence.fetch_add(1, Ordering::Relaxed);
        let header = Header {
            len: payload.len() as u32,
            opcode: Launch::OPCODE,
            sequence,
            thread,
            context: client.context,
            ..Header::default()
        };
        client.inline(&header, &payload, Arc::default());
        sequence
    }

    pub(super) fn step(&mut self, thread: u32, stream: u32, word: usize, amount: u32) {
        let mut params = Params::new();
        params.extend_from_slice(&(self.client.device + 4 * word as u64).to_le_bytes());
        params.extend_from_slice(&amount.to_le_bytes());
        self.launch(thread, stream, params);
        self.words[word] = self.words[word].wrapping_mul(3).wrapping_add(amount);
    }

    /// That launch of that thread was told of as invalid, and all others were executed.
    pub(super) fn check_failed(&self, thread: u32, failed: u64) {
        let told = self
            .client
            .wait_for(|f| f.header.opcode == ASYNC_ERROR)
            .decode::<AsyncError>();
        assert_eq!(
            (told.sequence, told.thread, told.status, told.sticky),
            (failed, thread, ERROR_INVALID_VALUE, false)
        );
        self.check();
    }

    pub(super) fn check(&self) {
        self.client.call(ContextSynchronize {}).unwrap();
        let bytes = self.client.read(self.client.device, 256);
        assert_eq!(super::kernels::u32s(&bytes), self.words);
        assert_eq!(self.client.failure(), None);
    }
}
