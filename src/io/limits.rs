//! What the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process open as many files and sockets as the system allows it: a thousand transfers need two each, and the usual
/// soft limit is 1024 in all.
pub fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it cannot be raised, transfers beyond it are refused with the system's reason.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
