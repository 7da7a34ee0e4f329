//! The Noise handshake `XX_25519_<cipher>_SHA256`: three messages, after which both know each other's key and share two of their own.
//!
//! `snow` has the pattern, `ring` the cipher and the hash, `x25519-dalek` the key agreement, since `ring` has none with static keys.
//! The dice are ours to give: the same seed makes the same messages.

use super::identity::{PrivateKey, PublicKey};
use super::seeds::Seeds;
use crate::packet::windowed::{Cipher, NOISE_MAX};
use crate::session::windowed::protection::Keys;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{self, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, Zeroizing};

/// One side of a handshake under way.
pub struct Noise {
    state: HandshakeState,
    cipher: Cipher,
    is_client: bool,
}

impl Noise {
    /// The client's side, which writes first.
    pub fn client(cipher: Cipher, key: &PrivateKey, prologue: &[u8; 32], seed: &[u8; 32]) -> Self {
        Self { state: state(cipher, key, prologue, seed, true), cipher, is_client: true }
    }

    /// The server's side.
    pub fn server(cipher: Cipher, key: &PrivateKey, prologue: &[u8; 32], seed: &[u8; 32]) -> Self {
        Self { state: state(cipher, key, prologue, seed, false), cipher, is_client: false }
    }

    /// The next message; `None` when it is the other's turn, or the payload is too long for a datagram of 1200 bytes.
    pub fn write(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut message = vec![0; NOISE_MAX];
        let length = self.state.write_message(payload, &mut message).ok()?;
        message.truncate(length);
        Some(message)
    }

    /// The payload of the other's next message; `None` if it is not genuine. A client may then read another one; a server may not,
    /// since `snow` has moved its cipher's key on by then, and needs to begin anew from the same seed.
    pub fn read(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut payload = vec![0; NOISE_MAX];
        let length = self.state.read_message(message, &mut payload).ok()?;
        payload.truncate(length);
        Some(payload)
    }

    /// The cipher, as both were told.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The other's key, once a message has told it.
    pub fn peer(&self) -> Option<PublicKey> {
        self.state.get_remote_static()?.try_into().ok().map(PublicKey)
    }

    /// What both share in the end; `None` before the third message.
    pub fn into_keys(mut self) -> Option<Keys> {
        if !self.state.is_handshake_finished() {
            return None;
        }
        let (mut client, mut server) = self.state.dangerously_get_raw_split();
        let (to_server, to_client) = (Zeroizing::new(client), Zeroizing::new(server));
        client.zeroize();
        server.zeroize();
        let (send, receive) = if self.is_client { (to_server, to_client) } else { (to_client, to_server) };
        Some(Keys { cipher: self.cipher, send, receive })
    }
}

fn state(cipher: Cipher, key: &PrivateKey, prologue: &[u8; 32], seed: &[u8; 32], is_client: bool) -> HandshakeState {
    let name = match cipher {
        Cipher::Aes256Gcm => "Noise_XX_25519_AESGCM_SHA256",
        Cipher::ChaCha20Poly1305 => "Noise_XX_25519_ChaChaPoly_SHA256",
    };
    let build = || -> Result<HandshakeState, Error> {
        let builder = Builder::with_resolver(name.parse()?, Box::new(Resolver::new(seed)))
            .local_private_key(key.secret_bytes())?
            .prologue(prologue)?;
        if is_client { builder.build_initiator() } else { builder.build_responder() }
    };
    build().expect("pattern, keys and prologue are ours, and right")
}

/// Where `snow` gets its cryptography.
pub(crate) struct Resolver {
    seed: Zeroizing<[u8; 32]>,
}

impl Resolver {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self { seed: Zeroizing::new(*seed) }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Dice(Seeds::new(&self.seed))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(Agreement::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn types::Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

struct Dice(Seeds);

impl Random for Dice {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        for part in bytes.chunks_mut(32) {
            for (byte, given) in part.iter_mut().zip(self.0.seed().iter()) {
                *byte = *given;
            }
        }
        Ok(())
    }
}

/// X25519. The private key is wiped when it is dropped.
#[derive(Default)]
struct Agreement {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        if let Ok(private) = private.try_into() {
            self.private = Zeroizing::new(private);
            self.public = x25519_dalek::PublicKey::from(&StaticSecret::from(private)).to_bytes();
        }
    }

    fn generate(&mut self, dice: &mut dyn Random) -> Result<(), Error> {
        let mut private = Zeroizing::new([0; 32]);
        dice.try_fill_bytes(&mut *private)?;
        self.set(&*private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public: [u8; 32] = *public.first_chunk().ok_or(Error::Dh)?;
        let shared = StaticSecret::from(*self.private).diffie_hellman(&x25519_dalek::PublicKey::from(public));
        // A point of small order: the result would be the same for every private key.
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        *out.first_chunk_mut().ok_or(Error::Dh)? = *shared.as_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PrivateKey {
        PrivateKey::new(&[byte; 32])
    }

    fn pair(cipher: Cipher, prologues: [&[u8; 32]; 2]) -> (Noise, Noise) {
        (Noise::client(cipher, &key(1), prologues[0], &[3; 32]), Noise::server(cipher, &key(2), prologues[1], &[4; 32]))
    }

    #[test]
    fn three_messages_make_two_keys_and_tell_both_who_the_other_is() {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let (mut client, mut server) = pair(cipher, [&[9; 32]; 2]);
            let first = client.write(b"").expect("the client's turn");
            assert_eq!((first.len(), server.read(&first)), (32, Some(vec![])));
            let second = server.write(b"parameters").expect("the server's turn");
            assert_eq!(client.read(&second).as_deref(), Some(&b"parameters"[..]));
            assert_eq!(client.peer(), Some(key(2).public()), "before its own key is shown");
            let third = client.write(b"frames").expect("the client's turn");
            assert_eq!(server.read(&third).as_deref(), Some(&b"frames"[..]));
            assert_eq!(server.peer(), Some(key(1).public()));
            let (ours, theirs) = (client.into_keys().expect("finished"), server.into_keys().expect("finished"));
            assert_eq!((&ours.send, &ours.receive), (&theirs.receive, &theirs.send));
            assert_ne!(ours.send, ours.receive);
        }
    }

    #[test]
    fn the_same_seeds_make_the_same_messages_and_others_do_not() {
        let messages = |seed: u8| {
            let mut client = Noise::client(Cipher::Aes256Gcm, &key(1), &[0; 32], &[seed; 32]);
            let mut server = Noise::server(Cipher::Aes256Gcm, &key(2), &[0; 32], &[seed + 1; 32]);
            let first = client.write(b"").expect("the client's turn");
            server.read(&first).expect("a key");
            (first, server.write(b"").expect("the server's turn"))
        };
        assert_eq!(messages(1), messages(1));
        assert_ne!(messages(1).0, messages(2).0);
    }

    #[test]
    fn different_prologues_cannot_finish() {
        let (mut client, mut server) = pair(Cipher::Aes256Gcm, [&[9; 32], &[8; 32]]);
        let first = client.write(b"").expect("the client's turn");
        server.read(&first).expect("nothing in it is sealed");
        let second = server.write(b"").expect("the server's turn");
        assert_eq!(client.read(&second), None);
        assert!(client.into_keys().is_none());
    }

    #[test]
    fn a_client_that_read_a_damaged_message_reads_the_right_one_afterwards() {
        let (mut client, mut server) = pair(Cipher::ChaCha20Poly1305, [&[9; 32]; 2]);
        server.read(&client.write(b"").expect("the client's turn")).expect("a key");
        let second = server.write(b"x").expect("the server's turn");
        for byte in 0..second.len() {
            let mut damaged = second.clone();
            damaged[byte] ^= 4;
            assert_eq!(client.read(&damaged), None, "byte {byte}");
            assert_eq!(client.read(&second[..byte]), None, "{byte} bytes");
        }
        assert_eq!(client.read(&second).as_deref(), Some(&b"x"[..]));
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let mut server = Noise::server(Cipher::Aes256Gcm, &key(2), &[0; 32], &[1; 32]);
            server.read(&point).expect("it is not used yet");
            assert_eq!(server.write(b""), None);
        }
    }
}
