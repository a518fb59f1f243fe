//! The crate's own suite, in one binary. Modules are named after POE's tests where they follow one.

mod addresses;
mod api_peek;
mod bad_use;
mod calls;
mod component_failures;
#[cfg(unix)]
mod component_isolation;
mod component_limits;
#[cfg(unix)]
mod component_rows;
#[cfg(unix)]
mod component_shutdown;
mod component_tcp;
#[cfg(feature = "tls")]
mod component_upgrade;
mod conformance;
mod contexts;
mod continuations;
#[cfg(unix)]
mod descriptors;
mod deviations;
mod documents;
#[cfg(unix)]
mod examples_layers;
mod examples_processes;
mod examples_small;
mod examples_tcp;
mod failures;
mod fairness;
mod fairness_order;
mod filter_block;
#[cfg(feature = "json")]
mod filter_change;
#[cfg(feature = "codec")]
mod filter_codec;
mod filter_conservation;
mod filter_grep;
mod filter_kit;
#[cfg(all(feature = "json", feature = "msgpack", feature = "cbor", feature = "storable"))]
mod filter_limits;
mod filter_line;
mod filter_map;
mod filter_raw;
mod filter_recordblock;
#[cfg(all(feature = "storable", feature = "json", feature = "msgpack", feature = "cbor"))]
mod filter_reference;
mod filter_stackable;
mod handles;
mod handles_later;
mod handles_order;
mod hosts;
#[cfg(unix)]
mod in_child;
mod inboxes;
mod kernel_pool;
mod kernel_thread;
#[cfg(target_os = "linux")]
mod late_replies;
mod laws_call;
mod laws_creation;
mod laws_die;
mod laws_handlers;
mod laws_idle;
mod laws_kit;
mod laws_lifetime;
mod laws_postbacks;
mod laws_queue;
mod laws_runs;
mod laws_signals;
mod laws_stopping;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod nfa;
#[cfg(unix)]
mod no_reset;
mod observed;
#[cfg(unix)]
mod os_signals;
mod own_resources;
mod own_sessions;
mod own_wheels;
mod panicking_drops;
mod peek_kit;
mod perl_twins;
mod phrasebook;
mod pool_names;
#[cfg(unix)]
mod process_signals;
mod properties;
mod properties_tcp;
mod properties_wheels;
mod reference_perl;
#[cfg(unix)]
mod runtimes;
#[cfg(unix)]
mod runtimes_kit;
#[cfg(unix)]
mod runtimes_moves;
mod schedules;
#[cfg(unix)]
mod selects;
mod session_states;
mod session_types;
mod socket_kit;
#[cfg(feature = "spans")]
mod spans;
mod splice_faults;
#[cfg(unix)]
mod started_so;
mod supervisor;
mod tasks;
mod testing;
mod tidy;
mod times;
#[cfg(feature = "ring")]
mod tls;
#[cfg(feature = "tower")]
mod tower_service;
mod traced;
mod traces;
mod transcripts;
#[cfg(unix)]
mod try_call;
mod undelivered;
mod upstream;
mod upstream_wheel_readwrite;
mod wheel_filter_errors;
#[cfg(unix)]
mod wheel_follow_tail;
#[cfg(unix)]
mod wheel_follow_tail_kinds;
mod wheel_readwrite;
#[cfg(unix)]
mod wheel_readwrite_close;
mod wheel_readwrite_faults;
mod wheel_readwrite_order;
mod wheel_readwrite_rows;
#[cfg(unix)]
mod wheel_renamed;
mod wheel_run;
#[cfg(target_os = "linux")]
mod wheel_run_ends;
#[cfg(unix)]
mod wheel_run_inherits;
#[cfg(all(unix, feature = "pty"))]
mod wheel_run_pty;
#[cfg(unix)]
mod wheel_socket_factory;
mod wheel_splice;
mod why_alive;
mod words;
