//! Renders a status for people. Pure.

use super::view::{ChannelView, SiteView, StatusView};

/// What stands where there is no value.
const NONE: &str = "-";
/// Characters of an agent's id that are shown: enough to tell agents of one site apart.
const AGENT_SHOWN_CHARS: usize = 8;
const BYTE_UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Returns the whole status as aligned text.
pub(super) fn table(status: &StatusView) -> String {
    let parts = [this_site(status), brokers(status), tunnel_sockets(status), sites(status), listeners(status)];
    let parts = parts.into_iter().chain([traffic(status), warnings(status)]);
    parts.filter(|part| !part.is_empty()).collect::<Vec<String>>().join("\n")
}

fn this_site(status: &StatusView) -> String {
    let ready = match (status.ready, status.draining) {
        (_, true) => "draining",
        (true, false) => "ready",
        (false, false) => "not ready",
    };
    let agent = format!("{}, version {}, {ready}", status.agent, status.version);
    let dialled = match status.endpoints.as_slice() {
        [] => "nowhere: this site only dials".to_owned(),
        endpoints => endpoints.join(", "),
    };
    let mut lines = vec![
        vec!["site".into(), format!("{} ({})", status.site_name, status.site_id)],
        vec!["public key".into(), status.public_key.clone()],
        vec!["agent".into(), agent],
        vec!["dialled at".into(), dialled],
    ];
    if status.revision > 0 {
        lines.push(vec!["revision".into(), status.revision.to_string()]);
    }
    columns(&lines)
}

fn brokers(status: &StatusView) -> String {
    let rows = status.brokers.iter().map(|broker| {
        let state = if broker.connected { "connected" } else { "disconnected" };
        vec![broker.url.clone(), state.to_owned(), or_none(broker.error.as_ref())]
    });
    section(&["BROKER", "STATE", "ERROR"], rows.collect())
}

fn tunnel_sockets(status: &StatusView) -> String {
    let sockets = status.tunnel_sockets.iter();
    let rows = sockets
        .map(|socket| vec![socket.listen.clone(), or_none(socket.bound.as_ref()), or_none(socket.error.as_ref())]);
    section(&["TUNNEL SOCKET", "BOUND", "ERROR"], rows.collect())
}

fn sites(status: &StatusView) -> String {
    let titles = ["SITE", "STATE", "AGENT", "ADDRESS", "CHANNEL", "RTT", "LOSS", "STREAMS", "SENT", "RECEIVED", "UP"];
    let connected = status.sites.iter().filter(|site| !site.channels.is_empty());
    let channels = connected.flat_map(|site| site.channels.iter().map(|channel| channel_row(site, channel)));
    let away = status.sites.iter().filter(|site| site.channels.is_empty());
    let away = away.map(|site| vec![site.site_name.clone(), site.state.clone(), or_none(site.error.as_ref())]);
    let tables = [section(&titles, channels.collect()), section(&["SITE AWAY", "STATE", "ERROR"], away.collect())];
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<String>>().join("\n")
}

fn channel_row(site: &SiteView, channel: &ChannelView) -> Vec<String> {
    vec![
        site.site_name.clone(),
        site.state.clone(),
        channel.agent.chars().take(AGENT_SHOWN_CHARS).collect(),
        channel.remote_address.clone(),
        channel.state.clone(),
        format!("{:.1} ms", channel.round_trip_ms),
        format!("{:.2} %", channel.loss * 100.0),
        channel.streams.to_string(),
        bytes(channel.sent_bytes),
        bytes(channel.received_bytes),
        duration(channel.up_seconds),
    ]
}

fn listeners(status: &StatusView) -> String {
    let rows = status.listeners.iter().map(|listener| {
        vec![
            listener.app.clone(),
            listener.local_socket.clone(),
            listener.state.clone(),
            or_none(listener.bound.as_ref()),
            listener.provider_state.clone(),
            or_none(listener.error.as_ref()),
        ]
    });
    section(&["REMOTE APP", "LOCAL SOCKET", "STATE", "BOUND", "PROVIDER", "ERROR"], rows.collect())
}

fn traffic(status: &StatusView) -> String {
    let rows = status.traffic.iter().map(|app| {
        let (sent, received) = (bytes(app.sent_bytes), bytes(app.received_bytes));
        vec![app.app.clone(), app.role.clone(), app.streams.to_string(), sent, received]
    });
    section(&["APP", "ROLE", "STREAMS", "SENT", "RECEIVED"], rows.collect())
}

fn warnings(status: &StatusView) -> String {
    section(&["WARNING"], status.warnings.iter().map(|warning| vec![warning.clone()]).collect())
}

fn or_none(text: Option<&String>) -> String {
    text.filter(|text| !text.is_empty()).cloned().unwrap_or_else(|| NONE.to_owned())
}

/// Returns nothing for a table without rows.
fn section(titles: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let titles = titles.iter().map(ToString::to_string).collect();
    columns(&[vec![titles], rows].concat())
}

/// Aligns cells. Control characters, which could come from other sites, never reach the terminal.
fn columns(rows: &[Vec<String>]) -> String {
    let clean = |cell: &String| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(clean).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<String>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Writes bytes in binary units with three digits or so.
fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut written = format!("{count} B");
    for unit in BYTE_UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        written = format!("{value:.1} {unit}");
    }
    written
}

/// Writes seconds in their two largest units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::api::testing;

    /// Set to make the golden file anew instead of comparing.
    const UPDATE: &str = "WOVENET_UPDATE";

    #[test]
    fn a_status_is_a_table_for_people() {
        let status = serde_json::to_string(&testing::status()).unwrap();
        let text = table(&serde_json::from_str(&status).unwrap());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/status/table.golden.txt");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "{UPDATE}=1 makes the file anew");
    }

    #[test]
    fn a_status_without_anything_has_only_the_site() {
        let text = table(&serde_json::from_str(r#"{"siteName":"home","newKey":[]}"#).unwrap());
        assert!(text.starts_with("site        home ()\n") && text.contains("nowhere: this site only dials"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(columns(&[vec!["a\x1b[2J\nb".into()]]), "a?[2J?b\n");
    }

    #[test]
    fn bytes_and_durations_are_short() {
        for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (u64::MAX, "16.0 EiB")] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in [(0, "0s"), (61, "1m1s"), (3_600, "1h0m"), (90_000, "1d1h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
