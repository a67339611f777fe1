//! Questions that are answered together.

use gvirtus_wire::api::library::{LibraryAsk, LibraryReplies, MOST_ASKED, MOST_DATA, NO_STREAM};
use gvirtus_wire::codec::DecodeError;
use gvirtus_wire::frame::Header;

use crate::session::{Failure, Session};

impl Session {
    /// Answers several questions together.
    pub(crate) fn ask(&self, header: &Header, ask: &LibraryAsk) -> Result<(), Failure> {
        let wrong = |what| Failure::Protocol(DecodeError::Invalid(what));
        if ask.calls.len() > MOST_ASKED || ask.calls.iter().any(|call| call.stream != NO_STREAM) {
            return Err(wrong("questions"));
        }
        let mut replies = Vec::with_capacity(ask.calls.len());
        let mut room = MOST_DATA;
        for call in &ask.calls {
            let (_, reply) = self.outcome(header, call.view())?;
            room = room
                .checked_sub(reply.data.len())
                .ok_or(wrong("length of the answers"))?;
            replies.push(reply);
        }
        self.reply(header, &LibraryReplies { replies });
        Ok(())
    }
}
