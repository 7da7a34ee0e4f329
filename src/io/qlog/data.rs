//! Events as qlog has them: names, fields and units of draft-ietf-quic-qlog-quic-events-03, which belongs to qlog 0.3.

use super::Vantage;
use super::file::{QlogFile, milliseconds};
use super::frames::Frames;
use crate::packet::windowed::Cipher;
use crate::session::windowed::log::{
    End, Event, Metric, Part, Purpose, Settings, Side, State, Timer, TimerChange, Trigger,
};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

/// An event with its parts, and when and to whom it happened.
pub(super) struct Line<'a> {
    pub(super) time: Duration,
    pub(super) group_id: Option<u64>,
    pub(super) vantage: Vantage,
    pub(super) event: &'a Event,
    pub(super) parts: &'a [Part],
}

impl Line<'_> {
    /// Appends what qlog makes of it, which is one event, or two.
    pub(super) fn write(&self, file: &mut QlogFile) -> io::Result<()> {
        match self.event {
            Event::PacketSent { number, length, purpose } => {
                file.push(&self.line("transport:packet_sent", packet(*number, *length, *purpose, self.parts)))
            }
            Event::PacketReceived { number, length } => {
                file.push(&self.line("transport:packet_received", packet(*number, *length, None, self.parts)))
            }
            Event::PacketsAcked => {
                let data =
                    PacketsAcked { packet_number_space: "application_data", packet_numbers: Numbers(self.parts) };
                file.push(&self.line("transport:packets_acked", data))
            }
            Event::MetricsUpdated => file.push(&self.line("recovery:metrics_updated", Metrics(self.parts))),
            Event::ParametersSet(settings) => {
                file.push(&self.line("transport:parameters_set", transport(settings)))?;
                file.push(&self.line("recovery:parameters_set", recovery(settings)))
            }
            other => {
                let (name, data) = seldom(other, self.vantage);
                file.push(&self.line(name, data))
            }
        }
    }

    fn line<D: Serialize>(&self, name: &'static str, data: D) -> Written<D> {
        let micros = u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX);
        let group_id = self.group_id.map(|group| group.to_string());
        Written { time: milliseconds(micros), name, group_id, data }
    }
}

/// As it stands in the file.
#[derive(Serialize)]
struct Written<D> {
    time: f64,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<String>,
    data: D,
}

#[derive(Serialize)]
struct Packet<'a> {
    header: PacketHeader,
    raw: Raw,
    frames: Frames<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_mtu_probe_packet: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<&'static str>,
}

#[derive(Serialize)]
struct PacketHeader {
    packet_type: &'static str,
    packet_number: u64,
}

#[derive(Serialize)]
struct Raw {
    length: usize,
}

fn packet(number: u64, length: usize, purpose: Option<Purpose>, parts: &[Part]) -> Packet<'_> {
    let header = PacketHeader { packet_type: SHORT, packet_number: number };
    let is_mtu_probe_packet = (purpose == Some(Purpose::MtuProbe)).then_some(true);
    let trigger = (purpose == Some(Purpose::PtoProbe)).then_some("pto_probe");
    Packet { header, raw: Raw { length }, frames: Frames(parts), is_mtu_probe_packet, trigger }
}

#[derive(Serialize)]
struct PacketsAcked<'a> {
    packet_number_space: &'static str,
    packet_numbers: Numbers<'a>,
}

/// Each number of the ranges.
struct Numbers<'a>(&'a [Part]);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers = serializer.serialize_seq(None)?;
        for part in self.0 {
            // Each of them was sent, so there are no more than packets in flight.
            let Part::Range(first, last) = part else { continue };
            for number in *first..=*last {
                numbers.serialize_element(&number)?;
            }
        }
        numbers.end()
    }
}

/// The values that changed.
struct Metrics<'a>(&'a [Part]);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut metrics = serializer.serialize_map(None)?;
        for part in self.0 {
            let Part::Metric(metric, value) = part else { continue };
            match metric {
                Metric::MinRtt => metrics.serialize_entry("min_rtt", &milliseconds(*value))?,
                Metric::SmoothedRtt => metrics.serialize_entry("smoothed_rtt", &milliseconds(*value))?,
                Metric::LatestRtt => metrics.serialize_entry("latest_rtt", &milliseconds(*value))?,
                Metric::RttVariance => metrics.serialize_entry("rtt_variance", &milliseconds(*value))?,
                Metric::PtoCount => metrics.serialize_entry("pto_count", value)?,
                Metric::CongestionWindow => metrics.serialize_entry("congestion_window", value)?,
                Metric::BytesInFlight => metrics.serialize_entry("bytes_in_flight", value)?,
                Metric::SlowStartThreshold => metrics.serialize_entry("ssthresh", value)?,
                // In bits.
                Metric::PacingRate => metrics.serialize_entry("pacing_rate", &value.saturating_mul(8))?,
            }
        }
        metrics.end()
    }
}

fn transport(settings: &Settings) -> Value {
    let cipher = match settings.cipher {
        Cipher::Aes256Gcm => "AES_256_GCM",
        Cipher::ChaCha20Poly1305 => "CHACHA20_POLY1305",
    };
    json!({
        "owner": "local",
        "tls_cipher": cipher,
        "max_idle_timeout": settings.timeout.as_millis() as u64,
        "max_udp_payload_size": settings.mtu_max,
        "max_ack_delay": settings.max_ack_delay.as_millis() as u64,
    })
}

fn recovery(settings: &Settings) -> Value {
    json!({
        "reordering_threshold": PACKETS_MIN,
        "time_threshold": 1.125,
        "timer_granularity": 1,
        "initial_rtt": milliseconds(settings.round_trip.as_micros() as u64),
        "max_datagram_size": settings.mtu,
        "initial_congestion_window": settings.window,
        "homing_congestion_control": settings.congestion,
    })
}

/// What happens now and then.
fn seldom(event: &Event, vantage: Vantage) -> (&'static str, Value) {
    match event {
        Event::Started { peer, peer_id } => {
            let (ip, port) = (peer.map(|peer| peer.ip().to_canonical()), peer.map(|peer| peer.port()));
            let version = ip.map(|ip| if ip.is_ipv4() { "v4" } else { "v6" });
            let data = json!({
                "ip_version": version, "src_ip": "", "dst_ip": ip, "dst_port": port,
                "protocol": "homing-windowed", "dst_cid": peer_id.to_string(),
            });
            ("connectivity:connection_started", data)
        }
        Event::StateUpdated { old, new } => {
            ("connectivity:connection_state_updated", changed(old.map(state), state(*new)))
        }
        Event::Greeted { by: Side::Local, length } => ("homing:handshake_datagram_sent", json!({ "length": length })),
        Event::Greeted { by: Side::Remote, length } => {
            ("homing:handshake_datagram_received", json!({ "length": length }))
        }
        Event::PacketLost { number, length, trigger, is_mtu_probe } => {
            ("recovery:packet_lost", lost(*number, *length, *trigger, *is_mtu_probe))
        }
        Event::LossWasSpurious { number } => ("homing:spurious_loss", json!({ "header": header(*number) })),
        Event::CongestionStateUpdated { old, new } => {
            ("recovery:congestion_state_updated", changed(old.map(plain), plain(new)))
        }
        Event::MtuUpdated { old, new } => ("connectivity:mtu_updated", json!({ "old": old, "new": new })),
        Event::LossTimerUpdated { timer, change } => ("recovery:loss_timer_updated", loss_timer(*timer, *change)),
        Event::KeyUpdated { by, generation } => ("security:key_updated", key(*by, *generation, vantage)),
        Event::PeerMoved { to } => {
            ("homing:peer_moved", json!({ "dst_ip": to.ip().to_canonical(), "dst_port": to.port() }))
        }
        Event::Closed(end) => ("connectivity:connection_closed", closed(end)),
        Event::EventsDropped(count) => ("homing:events_dropped", json!({ "count": count })),
        Event::PacketSent { .. }
        | Event::PacketReceived { .. }
        | Event::PacketsAcked
        | Event::MetricsUpdated
        | Event::ParametersSet(_) => ("homing:unknown", Value::Null),
    }
}

fn changed(old: Option<String>, new: String) -> Value {
    match old {
        Some(old) => json!({ "old": old, "new": new }),
        None => json!({ "new": new }),
    }
}

fn state(state: State) -> String {
    let name = match state {
        State::Attempted => "attempted",
        State::Established => "handshake_complete",
        State::Confirmed => "handshake_confirmed",
        State::Closed => "closed",
    };
    name.into()
}

/// As qlog writes names: `slow_start`.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "_")
}

fn header(number: u64) -> Value {
    json!({ "packet_type": SHORT, "packet_number": number })
}

fn lost(number: u64, length: u32, trigger: Trigger, is_mtu_probe: bool) -> Value {
    let trigger = match trigger {
        Trigger::ReorderingThreshold => "reordering_threshold",
        Trigger::TimeThreshold => "time_threshold",
    };
    let mut data = json!({ "header": header(number), "raw": { "length": length }, "trigger": trigger });
    if let (true, Some(fields)) = (is_mtu_probe, data.as_object_mut()) {
        fields.insert("is_mtu_probe_packet".into(), true.into());
    }
    data
}

fn loss_timer(timer: Timer, change: TimerChange) -> Value {
    let timer = match timer {
        Timer::Loss => "ack",
        Timer::Probe => "pto",
    };
    match change {
        TimerChange::Set(delta) => {
            let delta = milliseconds(u64::try_from(delta.as_micros()).unwrap_or(u64::MAX));
            json!({ "timer_type": timer, "event_type": "set", "delta": delta })
        }
        TimerChange::Expired => json!({ "timer_type": timer, "event_type": "expired" }),
        TimerChange::Cancelled => json!({ "timer_type": timer, "event_type": "cancelled" }),
    }
}

fn key(by: Side, generation: u32, vantage: Vantage) -> Value {
    let (key_type, trigger) = match (by, vantage) {
        (Side::Local, Vantage::Client) => ("client_1rtt_secret", "local_update"),
        (Side::Local, Vantage::Server) => ("server_1rtt_secret", "local_update"),
        (Side::Remote, Vantage::Client) => ("server_1rtt_secret", "remote_update"),
        (Side::Remote, Vantage::Server) => ("client_1rtt_secret", "remote_update"),
    };
    json!({ "key_type": key_type, "generation": generation, "trigger": trigger })
}

fn closed(end: &End) -> Value {
    let owner = match end.by {
        Side::Local => "local",
        Side::Remote => "remote",
    };
    let mut data = json!({ "owner": owner, "reason": end.reason, "trigger": end.trigger });
    if let (Some(code), Some(fields)) = (end.code, data.as_object_mut()) {
        fields.insert("application_code".into(), code.into());
    }
    data
}

/// The short packets of this mode are what QUIC calls so; tools know no other name.
const SHORT: &str = "1RTT";

/// `kPacketThreshold`.
const PACKETS_MIN: u64 = crate::session::windowed::loss::PACKETS_MIN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::windowed::ConnectionId;
    use crate::packet::windowed::frame::{EcnCounts, Space};
    use crate::session::windowed::log::Content;
    use std::fs;

    /// What stands in a file after the header.
    fn written(event: &Event, parts: &[Part], vantage: Vantage) -> Vec<Value> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sqlog");
        let mut file = QlogFile::create(&path, vantage, 1_000_000).expect("a file");
        let group_id = (vantage == Vantage::Server).then_some(3);
        let line = Line { time: Duration::from_micros(1234), group_id, vantage, event, parts };
        line.write(&mut file).and_then(|()| file.flush()).expect("room on the disk");
        let text = fs::read_to_string(path).expect("text");
        let records = text.split('\u{1e}').skip(2);
        records.map(|record| serde_json::from_str(record).expect("JSON")).collect()
    }

    #[test]
    fn a_packet_has_its_frames_in_order_and_an_acknowledgement_its_ranges() {
        let marks = EcnCounts { ect0: 5, ect1: 0, ce: 1 };
        let parts = [
            Part::Frame(Content::Ack { delay: Duration::from_micros(1500) }),
            Part::Marks(marks),
            Part::Range(7, 9),
            Part::Range(4, 4),
            Part::Frame(Content::Bytes { space: Space::Data, offset: 1000, length: 200 }),
            Part::Frame(Content::MaxBytes { space: Space::Answer, limit: 9 }),
            Part::Frame(Content::Padding(20)),
        ];
        let frames = json!([
            { "frame_type": "ack", "ack_delay": 1.5, "acked_ranges": [[7, 9], [4]], "ect0": 5, "ect1": 0, "ce": 1 },
            { "frame_type": "stream", "stream_id": 0, "offset": 1000, "length": 200 },
            { "frame_type": "max_stream_data", "stream_id": 8, "maximum": 9 },
            { "frame_type": "padding", "payload_length": 20 },
        ]);
        let header = json!({ "packet_type": "1RTT", "packet_number": 12 });
        let sent = Event::PacketSent { number: 12, length: 1472, purpose: None };
        let data = json!({ "header": header, "raw": { "length": 1472 }, "frames": frames });
        let line = json!({ "time": 1.234, "name": "transport:packet_sent", "data": data });
        assert_eq!(written(&sent, &parts, Vantage::Client), [line]);
        let received = Event::PacketReceived { number: 12, length: 1472 };
        let line = json!({ "time": 1.234, "name": "transport:packet_received", "group_id": "3", "data": data });
        assert_eq!(written(&received, &parts, Vantage::Server), [line]);
    }

    #[test]
    fn probes_say_what_they_are_for() {
        for (purpose, field, value) in [
            (Purpose::MtuProbe, "is_mtu_probe_packet", json!(true)),
            (Purpose::PtoProbe, "trigger", json!("pto_probe")),
        ] {
            let sent = Event::PacketSent { number: 1, length: 50, purpose: Some(purpose) };
            let lines = written(&sent, &[Part::Frame(Content::Ping)], Vantage::Client);
            assert_eq!(
                (&lines[0]["data"][field], &lines[0]["data"]["frames"][0]["frame_type"]),
                (&value, &json!("ping"))
            );
        }
    }

    #[test]
    fn frames_have_the_fields_that_qlog_gives_them() {
        let cases = [
            (Content::Ping, json!({ "frame_type": "ping" })),
            (
                Content::DataBlocked { limit: 7 },
                json!({ "frame_type": "stream_data_blocked", "stream_id": 0, "limit": 7 }),
            ),
            (Content::PathChallenge, json!({ "frame_type": "path_challenge" })),
            (Content::PathResponse, json!({ "frame_type": "path_response" })),
            (
                Content::NewConnectionId { sequence: 2, retire: 1 },
                json!({ "frame_type": "new_connection_id", "sequence_number": 2, "retire_prior_to": 1 }),
            ),
            (Content::Done { answer: 5 }, json!({ "frame_type": "unknown", "raw_frame_type": 17, "homing_done": 5 })),
            (
                Content::Close { code: 256 },
                json!({ "frame_type": "connection_close", "error_space": "application", "error_code": 256 }),
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(serde_json::to_value(Frames(&[Part::Frame(content)])).expect("JSON"), json!([expected]));
        }
    }

    #[test]
    fn metrics_are_in_milliseconds_bytes_and_bits_per_second() {
        let parts = [
            Part::Metric(Metric::MinRtt, 1500),
            Part::Metric(Metric::SmoothedRtt, 2000),
            Part::Metric(Metric::LatestRtt, 2001),
            Part::Metric(Metric::RttVariance, 1),
            Part::Metric(Metric::PtoCount, 2),
            Part::Metric(Metric::CongestionWindow, 14_720),
            Part::Metric(Metric::BytesInFlight, 1472),
            Part::Metric(Metric::SlowStartThreshold, 9000),
            Part::Metric(Metric::PacingRate, 1000),
        ];
        let data = json!({
            "min_rtt": 1.5, "smoothed_rtt": 2.0, "latest_rtt": 2.001, "rtt_variance": 0.001, "pto_count": 2,
            "congestion_window": 14720, "bytes_in_flight": 1472, "ssthresh": 9000, "pacing_rate": 8000,
        });
        let lines = written(&Event::MetricsUpdated, &parts, Vantage::Client);
        assert_eq!(lines, [json!({ "time": 1.234, "name": "recovery:metrics_updated", "data": data })]);
    }

    #[test]
    fn settings_are_those_of_the_transport_and_those_of_recovery() {
        let settings = Settings {
            cipher: Cipher::ChaCha20Poly1305,
            timeout: Duration::from_secs(30),
            mtu_max: 65_507,
            mtu: 1200,
            max_ack_delay: Duration::from_millis(25),
            round_trip: Duration::from_millis(40),
            congestion: "bbr",
            window: 12_000,
        };
        let lines = written(&Event::ParametersSet(Box::new(settings)), &[], Vantage::Client);
        assert_eq!(
            lines.iter().map(|line| (line["name"].as_str(), line["data"].clone())).collect::<Vec<_>>(),
            [
                (
                    Some("transport:parameters_set"),
                    json!({
                        "owner": "local", "tls_cipher": "CHACHA20_POLY1305", "max_idle_timeout": 30_000,
                        "max_udp_payload_size": 65_507, "max_ack_delay": 25,
                    })
                ),
                (
                    Some("recovery:parameters_set"),
                    json!({
                        "reordering_threshold": 3, "time_threshold": 1.125, "timer_granularity": 1, "initial_rtt": 40.0,
                        "max_datagram_size": 1200, "initial_congestion_window": 12_000,
                        "homing_congestion_control": "bbr",
                    })
                ),
            ]
        );
    }

    #[test]
    fn everything_else_has_its_name_and_its_fields() {
        let peer = ([192, 0, 2, 1], 7).into();
        let end = |by, code, trigger| Box::new(End { by, code, reason: "a \"reason\"".into(), trigger });
        let lost = |trigger, is_mtu_probe| Event::PacketLost { number: 5, length: 1200, trigger, is_mtu_probe };
        let header = json!({ "packet_type": "1RTT", "packet_number": 5 });
        let raw = json!({ "length": 1200 });
        let set = TimerChange::Set(Duration::from_micros(2500));
        let cases = [
            (
                Event::Started { peer: Some(peer), peer_id: ConnectionId([1; 8]) },
                "connectivity:connection_started",
                json!({
                    "ip_version": "v4", "src_ip": "", "dst_ip": "192.0.2.1", "dst_port": 7,
                    "protocol": "homing-windowed", "dst_cid": "0101010101010101",
                }),
            ),
            (
                Event::StateUpdated { old: None, new: State::Attempted },
                "connectivity:connection_state_updated",
                json!({ "new": "attempted" }),
            ),
            (
                Event::StateUpdated { old: Some(State::Established), new: State::Confirmed },
                "connectivity:connection_state_updated",
                json!({ "old": "handshake_complete", "new": "handshake_confirmed" }),
            ),
            (
                Event::Greeted { by: Side::Local, length: 1200 },
                "homing:handshake_datagram_sent",
                json!({ "length": 1200 }),
            ),
            (
                Event::Greeted { by: Side::Remote, length: 43 },
                "homing:handshake_datagram_received",
                json!({ "length": 43 }),
            ),
            (
                lost(Trigger::ReorderingThreshold, false),
                "recovery:packet_lost",
                json!({ "header": header, "raw": raw, "trigger": "reordering_threshold" }),
            ),
            (
                lost(Trigger::TimeThreshold, true),
                "recovery:packet_lost",
                json!({ "header": header, "raw": raw, "trigger": "time_threshold", "is_mtu_probe_packet": true }),
            ),
            (Event::LossWasSpurious { number: 5 }, "homing:spurious_loss", json!({ "header": header })),
            (
                Event::CongestionStateUpdated { old: Some("slow start"), new: "ProbeBW_UP" },
                "recovery:congestion_state_updated",
                json!({ "old": "slow_start", "new": "probebw_up" }),
            ),
            (
                Event::MtuUpdated { old: 1200, new: 1472 },
                "connectivity:mtu_updated",
                json!({ "old": 1200, "new": 1472 }),
            ),
            (
                Event::LossTimerUpdated { timer: Timer::Loss, change: set },
                "recovery:loss_timer_updated",
                json!({ "timer_type": "ack", "event_type": "set", "delta": 2.5 }),
            ),
            (
                Event::LossTimerUpdated { timer: Timer::Probe, change: TimerChange::Expired },
                "recovery:loss_timer_updated",
                json!({ "timer_type": "pto", "event_type": "expired" }),
            ),
            (
                Event::LossTimerUpdated { timer: Timer::Probe, change: TimerChange::Cancelled },
                "recovery:loss_timer_updated",
                json!({ "timer_type": "pto", "event_type": "cancelled" }),
            ),
            (
                Event::KeyUpdated { by: Side::Remote, generation: 2 },
                "security:key_updated",
                json!({ "key_type": "server_1rtt_secret", "generation": 2, "trigger": "remote_update" }),
            ),
            (Event::PeerMoved { to: peer }, "homing:peer_moved", json!({ "dst_ip": "192.0.2.1", "dst_port": 7 })),
            (
                Event::Closed(end(Side::Local, None, "idle_timeout")),
                "connectivity:connection_closed",
                json!({ "owner": "local", "reason": "a \"reason\"", "trigger": "idle_timeout" }),
            ),
            (
                Event::Closed(end(Side::Remote, Some(0), "clean")),
                "connectivity:connection_closed",
                json!({ "owner": "remote", "reason": "a \"reason\"", "trigger": "clean", "application_code": 0 }),
            ),
            (Event::EventsDropped(9), "homing:events_dropped", json!({ "count": 9 })),
        ];
        for (event, name, data) in cases {
            let expected = json!({ "time": 1.234, "name": name, "data": data });
            assert_eq!(written(&event, &[], Vantage::Client), [expected]);
        }
        let acked = written(&Event::PacketsAcked, &[Part::Range(1, 3), Part::Range(7, 7)], Vantage::Client);
        let data = json!({ "packet_number_space": "application_data", "packet_numbers": [1, 2, 3, 7] });
        assert_eq!(acked, [json!({ "time": 1.234, "name": "transport:packets_acked", "data": data })]);
        let key = written(&Event::KeyUpdated { by: Side::Remote, generation: 1 }, &[], Vantage::Server);
        assert_eq!(key[0]["data"]["key_type"], "client_1rtt_secret");
    }
}
