//! Sessions: requests and answers that outlive connections and servers.
//!
//! A client numbers its requests 1, 2, 3… for the life of the mount. Every frame of a client says which requests
//! it has released: all below that number were answered. At most [`REQUESTS_IN_FLIGHT_MAX`] requests from the
//! released one on may be under way, so that a number alone says where a request is kept, on either side: `Requests`
//! keeps what the client must be able to send again, `Window` what the server must not execute again.

#[cfg(test)]
pub(crate) mod disk;
mod requests;
mod window;
#[cfg(test)]
pub(crate) mod world;

pub(crate) use requests::Requests;
pub(crate) use window::{Arrival, Due, Window};

use crate::bounds::REQUESTS_IN_FLIGHT_MAX;
use crate::format::wire::RequestId;

/// Where a request is kept.
const fn place(id: RequestId) -> usize {
    (id.0 % REQUESTS_IN_FLIGHT_MAX as u64) as usize
}
