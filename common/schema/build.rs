//! Embeds the definitions of tables and the presets of mappings.

mod embed;

fn main() -> std::io::Result<()> {
    embed::embed(&["mappings", "tables"], &["toml"])
}
