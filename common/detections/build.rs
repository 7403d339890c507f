//! Embeds the detections and rollups.

#[path = "../schema/embed.rs"]
mod embed;

fn main() -> std::io::Result<()> {
    embed::embed(&["detections", "rollups"], &["toml", "sql"])
}
