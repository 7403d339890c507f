//! The worker process: it has no code of its own yet; `scan` runs the engine in process.
