//! Callbacks of a service: what a server does for its clients beyond electing.

use core::ffi::c_void;

use ostrakon_core::format::wire::Status;
use ostrakon_core::ids::{Ballot, Rid};
use ostrakon_core::service::{Reply, Request, Service};

use crate::convert::Outcome;
use crate::{ostrakon_ballot, ostrakon_error};

/// A request that reached the server.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_request {
    /// The client that asks.
    pub client: u64,
    /// Number of the request in its session.
    pub id: u64,
    /// The ballot under which this server acts: its term is the fencing token.
    pub server: ostrakon_ballot,
    /// The rest of the request, only during the callback.
    pub body: *const u8,
    /// Bytes of it.
    pub length: usize,
    /// What it asks, from `OSTRAKON_COMMAND_SERVICE`.
    pub command: u16,
    /// 0.
    pub reserved: [u8; 6],
}

/// A service. All callbacks must be there; none may call the mount back (REENTERED).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_service {
    /// Handed to every callback.
    pub context: *mut c_void,
    /// This mount leads and has recovered its table; the service may begin.
    pub started: Option<unsafe extern "C" fn(context: *mut c_void, server: ostrakon_ballot)>,
    /// This mount leads no longer; nothing of the service may go on.
    pub stopped: Option<unsafe extern "C" fn(context: *mut c_void)>,
    /// Executes a request: writes up to `room` bytes of the answer and says how many in `*length`. Returns 0 for done,
    /// 1 for an error of the service (in the body), 2 for an unknown command.
    pub handle: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            request: *const ostrakon_request,
            answer: *mut u8,
            room: usize,
            length: *mut usize,
        ) -> u32,
    >,
    /// A client left or was evicted: what it held is free.
    pub client_gone: Option<unsafe extern "C" fn(context: *mut c_void, client: u64)>,
}

/// The service of a mount: C's callbacks, or none.
pub(crate) struct Callbacks(Option<Complete>);

/// A service with all of its callbacks.
struct Complete {
    context: *mut c_void,
    started: unsafe extern "C" fn(*mut c_void, ostrakon_ballot),
    stopped: unsafe extern "C" fn(*mut c_void),
    handle: unsafe extern "C" fn(*mut c_void, *const ostrakon_request, *mut u8, usize, *mut usize) -> u32,
    client_gone: unsafe extern "C" fn(*mut c_void, u64),
}

impl Callbacks {
    /// Copies the callbacks, if there are any.
    ///
    /// # Safety
    /// `service` is null or leads to an `ostrakon_service` whose callbacks may be called with its context for as long
    /// as the mount lives.
    pub(crate) unsafe fn read(service: *const ostrakon_service) -> Outcome<Self> {
        if service.is_null() {
            return Ok(Self(None));
        }
        if !service.is_aligned() {
            return Err(ostrakon_error::Misaligned);
        }
        // SAFETY: not null, aligned, and a service as the caller promises.
        let service = unsafe { *service };
        let (Some(started), Some(stopped), Some(handle), Some(client_gone)) = (
            service.started,
            service.stopped,
            service.handle,
            service.client_gone,
        ) else {
            return Err(ostrakon_error::ServiceCallback);
        };
        Ok(Self(Some(Complete {
            context: service.context,
            started,
            stopped,
            handle,
            client_gone,
        })))
    }
}

impl Service for Callbacks {
    fn started(&mut self, server: Ballot) {
        if let Some(service) = &self.0 {
            // SAFETY: `read` was promised callbacks that take this context.
            unsafe { (service.started)(service.context, server.into()) }
        }
    }

    fn stopped(&mut self) {
        if let Some(service) = &self.0 {
            // SAFETY: as in `started`.
            unsafe { (service.stopped)(service.context) }
        }
    }

    fn handle(&mut self, request: &Request<'_>, answer: &mut [u8]) -> Reply {
        let Some(service) = &self.0 else {
            return Reply::Unknown;
        };
        let asked = ostrakon_request {
            client: request.client.value(),
            id: request.id.0,
            server: request.server.into(),
            body: request.body.as_ptr(),
            length: request.body.len(),
            command: request.command.0,
            reserved: [0; 6],
        };
        let mut length = 0;
        let (bytes, room) = (answer.as_mut_ptr(), answer.len());
        // SAFETY: as in `started`; the request and the buffers live for the call.
        let status = unsafe { (service.handle)(service.context, &asked, bytes, room, &mut length) };
        // A length beyond the room is a mistake of the service, found here rather than by the client.
        let status = match status {
            0 if length <= room => Status::Ok,
            0 | 1 => Status::ServiceError,
            _ => return Reply::Unknown,
        };
        Reply::Now(status, length.min(room))
    }

    fn client_gone(&mut self, client: Rid) {
        if let Some(service) = &self.0 {
            // SAFETY: as in `started`.
            unsafe { (service.client_gone)(service.context, client.value()) }
        }
    }
}
