//! What this machine's processor is good at.

use crate::packet::windowed::Cipher;
use std::arch;

/// The faster cipher here: AES-256-GCM where there are instructions for it and for its checksum, as on nearly every larger processor;
/// without them ChaCha20-Poly1305 is several times as fast.
pub fn preferred_cipher() -> Cipher {
    if has_aes() { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    arch::is_x86_feature_detected!("aes") && arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    arch::is_aarch64_feature_detected!("aes") && arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
