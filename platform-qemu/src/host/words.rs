//! Events in words: for people on the log, for programs on the control line.

use ostrakon_core::event::Event;

use crate::control::Control;
use crate::log::{Debug, info, warning};

/// Tells an event; on the control line `event NAME`, then what belongs to it: mostly the term and the rid of the ballot that it
/// is about, or an address.
pub(super) fn tell(event: &Event, control: &mut Control) {
    macro_rules! tell {
        ($words:literal $(, $word:expr)*) => {{
            control.say(format_args!(concat!("event ", $words) $(, $word)*));
            info!($words $(, $word)*);
        }};
    }
    match event {
        Event::Started => tell!("started"),
        Event::Connected {
            server,
            addr: Some(addr),
        } => tell!("connected {} {} {}", server.term, server.rid, addr),
        Event::Connected { server, addr: None } => {
            tell!("connected {} {} {}", server.term, server.rid, "itself")
        }
        Event::Disconnected { server } => tell!("disconnected {} {}", server.term, server.rid),
        Event::PlainClient => tell!("plain_client"),
        Event::Asking { votes, needed } => tell!("asking {} {}", votes, needed),
        Event::Elected(ballot) => tell!("elected {}", ballot.term),
        Event::Sealed(ballot) => tell!("sealed {}", ballot.term),
        Event::GaveUp { ballot, why } => tell!("gave_up {} {}", ballot.term, Debug(why)),
        Event::Fencing { victim, attempt } => tell!("fencing {} {} {}", victim.term, victim.rid, attempt),
        Event::Silenced { victim, how } => tell!("silenced {} {} {}", victim.term, victim.rid, Debug(how)),
        Event::FenceFailed { victim, attempt } => {
            tell!("fence_failed {} {} {}", victim.term, victim.rid, attempt)
        }
        Event::Serving { ballot, addr } => tell!("serving {} {}", ballot.term, addr),
        Event::Recovered { clients } => tell!("recovered {}", clients),
        Event::Superseded { ballot, by } => tell!("superseded {} {} {}", ballot.term, by.term, by.rid),
        Event::StoppedServing { ballot, clean } => tell!("stopped_serving {} {}", ballot.term, clean),
        Event::ClientEvicted(rid) => tell!("client_evicted {}", rid),
        Event::Evicted => tell!("evicted"),
        Event::Unmounting => tell!("unmounting"),
        Event::WaitingForQuorum { votes, needed } => tell!("waiting_for_quorum {} {}", votes, needed),
        Event::Unmounted(how) => tell!("unmounted {}", Debug(how)),
        Event::Fault(fault) => {
            warning!("fault: {}", Debug(fault));
            control.say(format_args!("event error {fault:?}"));
        }
        // Core may learn to say more than this image knows the words for.
        other => info!("{}", Debug(other)),
    }
}
