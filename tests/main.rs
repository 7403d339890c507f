//! Drives the `hindcast` binary as a person would: demo lakes, small lakes written row by row, broken lakes, real data.
#![allow(clippy::expect_used, reason = "a test that fails stops")]

mod faulty_store;
mod listeners;
mod location_database;
mod lost_answers;
mod page_client;
mod sandbox;
mod support;

mod analysis_cases;
mod backfill;
mod bad_input;
mod chaos;
mod cluster;
mod cluster_jobs;
mod cluster_security;
mod demo_truth;
mod exports;
mod flight_sql;
mod import;
mod import_sources;
mod investigate;
mod investigate_real;
mod job_pages;
mod lake_files;
mod lake_forms;
mod look_back;
mod notebook_parity;
mod object_stores;
mod office365;
mod real_data;
mod report;
mod same_bytes;
mod scan_command;
mod sinks;
mod tables_command;
mod tidy;
mod traces;
mod view_pages;
mod watchlists;
