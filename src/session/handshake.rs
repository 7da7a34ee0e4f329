//! How two become a connection: the server learns that the client's address is real, both learn each other's keys, and nobody else
//! learns or changes anything.
//!
//! ```text
//! client                                                        server
//!   s | 1207959601 | name | 0...5                 lab start  ->   keeps nothing for it
//!   <-  a | 1207959602 | 1400 | homing/1 checked windowed=<token>
//! or, when the lab cannot express what is wanted, or a pin says that the server speaks this:
//!   hello, no token                             1200 bytes   ->   keeps nothing for it
//!   <-  retry                                     43 bytes
//! and then in both cases:
//!   hello, terms, token, Noise e                1200 bytes   ->   the address is real: may keep something for 10 s
//!   <-  reply, Noise e ee s es, connection ID, parameters        the client knows the server, and may refuse it
//!   finish, Noise s se, first frames                         ->   the server knows the client, and may refuse it
//!   packets                                                 <->
//! ```
//!
//! **Amplification.** Before an address is proven the server answers a datagram with one that is shorter, and never by itself. All
//! repeats are the client's.
//!
//! **Nothing can be stripped.** What the server said in clear (the *terms*: capability words, the cipher that it prefers) is
//! repeated by the client under the token that came with it, which the server made of it; so the server knows what it really
//! said without having kept it. And all of it is in Noise's prologue ([`terms::prologue`]): two who do not agree on every byte have
//! different keys. Who takes the offer of this mode out of a lab acknowledgement altogether gets a lab transfer; against that there
//! are pins (`io/identity.rs`).
//!
//! **The client's key is shown to the server alone**, and to the one that the pin names: it travels in the third message, which is
//! not written before the second was judged.
//!
//! Neither machine owns a socket or a session: [`Client`] ends with keys that the session takes over; [`Server`] keeps only those
//! who have not finished, and hands the others out.

pub mod address;
pub mod call;
pub mod client;
pub mod identity;

pub mod noise;
pub mod seeds;
pub mod server;
pub mod terms;
pub mod token;

pub use call::{Established, Event, Failure, Opening};
pub use client::Client;
pub use identity::{Fingerprint, PrivateKey, PublicKey};
pub use server::{Accepted, Server, Verdict};
pub use token::{ResetTokens, Tokens};
