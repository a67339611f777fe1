//! Challenge and response: both ends prove that they know a tenant's token, and the token never travels.
//!
//! A proof is HMAC-SHA256, keyed with the token, over a role, both nonces and everything said so far. The nonces make it worthless for another connection, the
//! role keeps an answer from being played back, and what was said cannot have been changed on the way.

use hmac::{Hmac, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::config::Token;

/// A random number used once.
pub type Nonce = [u8; 32];
/// Evidence of knowing a token.
pub type Proof = [u8; 32];

/// Who proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The program's side.
    Client,
    /// The daemon.
    Backend,
}

/// A new nonce (also used for resume tokens).
///
/// # Panics
/// When the operating system has no randomness, without which nothing here is safe.
#[must_use]
pub fn nonce() -> Nonce {
    let mut nonce = [0; 32];
    OsRng
        .try_fill_bytes(&mut nonce)
        .expect("the operating system gives random bytes");
    nonce
}

/// Everything that both ends have said so far, hashed; each part with its length.
#[derive(Debug, Clone)]
pub struct Transcript(Sha256);

impl Default for Transcript {
    fn default() -> Self {
        Self(Sha256::new_with_prefix(b"gvirtus handshake\n"))
    }
}

impl Transcript {
    /// Adds a message.
    pub fn add(&mut self, message: &[u8]) {
        self.0.update((message.len() as u64).to_le_bytes());
        self.0.update(message);
    }

    fn mac(&self, role: Role, token: &Token) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(token.bytes())
            .expect("HMAC takes keys of any length");
        mac.update(match role {
            Role::Client => b"client",
            Role::Backend => b"backend",
        });
        mac.update(&self.0.clone().finalize());
        mac
    }

    /// What `role` sends to prove that it knows the token.
    #[must_use]
    pub fn prove(&self, role: Role, token: &Token) -> Proof {
        self.mac(role, token).finalize().into_bytes().into()
    }

    /// Whether `proof` is what `role` sends if it knows the token; takes the same time whatever the proof.
    #[must_use]
    pub fn verify(&self, role: Role, token: &Token, proof: &Proof) -> bool {
        self.mac(role, token).verify_slice(proof).is_ok()
    }
}
