//! POE's own test files, one module each: the same facts, by our names.
//!
//! "Twin" is a scenario that `perl_twins` compares with what Perl prints, line by line.
//!
//! | POE's file | Module here | Twin |
//! |---|---|---|
//! | `t/10_units/03_base/10_wheel.t` | `wheel` | |
//! | `t/10_units/03_base/11_assert_usage.t` | `assert_usage` | |
//! | `t/10_units/03_base/12_assert_retval.t` | `assert_retval` | |
//! | `t/10_units/03_base/13_assert_data.t` | `assert_data` | |
//! | `t/10_units/03_base/15_kernel_internal.t` | `kernel_internal` (the count of idle items) | |
//! | `t/10_units/03_base/16_nfa_usage.t` | `nfa_usage` | |
//! | `t/10_units/03_base/17_detach_start.t` | `detach_start` | `creation` |
//! | `t/10_units/06_queues/01_array.t` | – | cut: a queue for programs is not a kernel's business |
//! | `t/10_units/07_exceptions/01_normal.t` | `exceptions_normal` | `whelan_grinnz` |
//! | `t/10_units/07_exceptions/02_turn_off.t` | `exceptions_turn_off` | `exceptions_off` |
//! | `t/10_units/07_exceptions/03_not_handled.t` | `exceptions_not_handled` | `whelan_grinnz` |
//! | `t/20_resources/00_base/aliases.pm` | `aliases` | `aliases` |
//! | `t/20_resources/00_base/caller_state.pm` | `caller_state` | `callbacks`, `postbacks` |
//! | `t/20_resources/00_base/events.pm` | `events` | `sender_purge` |
//! | `t/20_resources/00_base/extrefs.pm` | `extrefs` | `refcounts` |
//! | `t/20_resources/00_base/extrefs_gc.pm` | `extrefs_gc` | `refcounts` |
//! | `t/20_resources/00_base/filehandles.pm` | `filehandles` (without tied handles) | `selects` |
//! | `t/20_resources/00_base/sessions.pm` | `sessions` | `stopping` |
//! | `t/20_resources/00_base/sids.pm` | `sids` | |
//! | `t/20_resources/00_base/signals.pm` | `signals` | `signals_order` |
//! | `t/90_regression/averell-callback-ret.t` | `averell_callback_ret` | `callbacks` |
//! | `t/90_regression/cfedde-filter-httpd.t` | `crates/poe-http/tests/it/cfedde.rs` | |
//! | `t/90_regression/grinnz-die-in-die.t` | `grinnz_die_in_die` | `whelan_grinnz` |
//! | `t/90_regression/hinrik-wheel-run-die.t` | `hinrik_wheel_run_die` (the kernel's part) | |
//! | `t/90_regression/kjeldahl-stop-start-*.t` (three files) | `kjeldahl_stop_start` (without a fork) | `run_again` |
//! | `t/90_regression/leolo-alarm-adjust.t` | `leolo_alarm_adjust` | |
//! | `t/90_regression/leolo-filter-httpd.t` | `crates/poe-http/tests/it/leolo.rs` | |
//! | `t/90_regression/leolo-sig-die.t` | `leolo_sig_die` (results of calls) | `exceptions_off` |
//! | `t/90_regression/meh-startstop-return.t` | `meh_startstop_return` | `creation` |
//! | `t/90_regression/neyuki_detach.t` | `neyuki_detach` | `detach` |
//! | `t/90_regression/rt14444-arg1.t` | `rt14444_arg1` | |
//! | `t/90_regression/rt19908-merlyn-stop.t` | `rt19908_merlyn_stop` | `die_in_stop` |
//! | `t/90_regression/rt23181-sigchld-rc.t` | `rt23181_sigchld_rc` | |
//! | `t/90_regression/rt47966-sigchld.t` | `rt47966_sigchld` | |
//! | `t/90_regression/rt65460-forking.t` | `rt65460_forking` (without a fork) | |
//! | `t/90_regression/steinert-passed-wheel.t` | `steinert_passed_wheel` | `drops` |
//! | `t/90_regression/suzman_windows.t` | `suzman_windows` | |
//! | `t/90_regression/ton-stop-corruption.t` | `ton_stop_corruption` | |
//! | `t/90_regression/tracing-sane-exit.t` | `tracing_sane_exit` | |
//! | `t/90_regression/whelan-dieprop.t` | `whelan_dieprop` | `whelan_grinnz` |
//! | `POE::Test::Loops::k_alarms` | `k_alarms` | `k_alarms` |
//! | `POE::Test::Loops::k_aliases` | `k_aliases` | `aliases` |
//! | `POE::Test::Loops::k_detach` | `k_detach` | `k_detach` |
//! | `POE::Test::Loops::k_run_returns` | `k_run_returns` | `run_again` |
//! | `POE::Test::Loops::k_selects` | `k_selects` | `selects` |
//! | `POE::Test::Loops::k_sig_child` | `k_sig_child` | `k_sig_child` |
//! | `POE::Test::Loops::k_signals` | `k_signals` | `k_signals` |
//! | `POE::Test::Loops::k_signals_rerun` | `k_signals_rerun` | `failing_stops` |
//! | `POE::Test::Loops::sbk_signal_init` | `sbk_signal_init` | |
//! | `POE::Test::Loops::ses_nfa` | `ses_nfa` | `light_switch` |
//! | `POE::Test::Loops::ses_session` | `ses_session` | `machines`, `nested_stop` |
//! | `POE::Test::Loops::z_kogman_sig_order` | `z_kogman_sig_order` | `kogman_sig_order` |
//! | `POE::Test::Loops::z_merijn_sigchld_system` | `z_merijn_sigchld_system` | |
//! | `POE::Test::Loops::z_rt39872_sigchld` | `z_rt39872_sigchld` | |
//! | `POE::Test::Loops::z_rt39872_sigchld_stop` | `z_rt39872_sigchld_stop` (without a fork) | |
//! | `POE::Test::Loops::z_rt53302_fh_watchers` | `z_rt53302_fh_watchers` | |
//! | `POE::Test::Loops::z_steinert_signal_integrity` | `z_steinert_signal_integrity` | `steinert_signals` |
//!
//! These say nothing about a program in Rust, for the reason that is given:
//!
//! | POE's file | Reason |
//! |---|---|
//! | `t/00_info.t`, `POE::Test::Loops::00_info` | a report on the installation |
//! | `t/10_units/03_base/01_poe.t` | which modules `use POE` loads |
//! | `t/10_units/03_base/03_component.t`, `04_driver.t`, `05_filter.t`, `07_queue.t` | abstract classes refuse `new`: traits have none |
//! | `t/10_units/03_base/06_loop.t`, `08_resource.t` | the modules compile |
//! | `t/10_units/03_base/09_resources.t` | the loader's fallback from XS to Perl |
//! | `t/10_units/03_base/14_kernel.t` | the arguments of `use POE::Kernel`, and its one global kernel |
//! | `t/10_units/08_loops/*.t` | the choice of an event loop by what is loaded |
//! | `t/90_regression/rt1648-tied-stderr.t` | tied handles |
//! | `t/90_regression/broeren-win32-nbio.t`, `prumike-win32-stat.t` | Perl's own layer on Windows |
//!
//! Wheels, filters and components have their tests in modules of their own (`wheel_…`, `filter_…`, `component_…`);
//! docs/conformance.md names all of POE's files, and `conformance` checks it.

mod aliases;
mod assert_data;
mod assert_retval;
mod assert_usage;
mod averell_callback_ret;
mod caller_state;
#[cfg(unix)]
mod children;
#[cfg(unix)]
mod comp_tcp;
mod comp_tcp_concurrent;
mod connect_errors;
mod detach_start;
mod events;
mod exceptions_normal;
mod exceptions_not_handled;
mod exceptions_turn_off;
mod extrefs;
mod extrefs_gc;
#[cfg(unix)]
mod ferrari_server_unix;
#[cfg(unix)]
mod filehandles;
mod grinnz_die_in_die;
#[cfg(unix)]
mod hinrik_wheel_run_die;
mod k_alarms;
mod k_aliases;
mod k_detach;
mod k_run_returns;
#[cfg(unix)]
mod k_selects;
#[cfg(unix)]
mod k_sig_child;
#[cfg(unix)]
mod k_signals;
#[cfg(unix)]
mod k_signals_rerun;
#[cfg(unix)]
mod kernel_internal;
mod kjeldahl_stop_start;
mod leolo_alarm_adjust;
mod leolo_sig_die;
mod meh_startstop_return;
mod neyuki_detach;
mod nfa_usage;
mod rt14444_arg1;
mod rt19908_merlyn_stop;
#[cfg(unix)]
mod rt23181_sigchld_rc;
#[cfg(unix)]
mod rt47966_sigchld;
#[cfg(all(unix, feature = "storable"))]
mod rt65460_forking;
#[cfg(unix)]
mod sbk_signal_init;
mod ses_nfa;
mod ses_session;
mod sessions;
mod sids;
mod signals;
mod socketfactory_timeout;
mod somni_poco_server_tcp;
mod steinert_passed_wheel;
#[cfg(unix)]
mod suzman_windows;
#[cfg(unix)]
mod ton_stop_corruption;
mod tracing_sane_exit;
mod wheel;
mod wheel_accept;
mod wheel_sf_ipv6;
mod wheel_sf_tcp;
#[cfg(unix)]
mod wheel_sf_udp;
#[cfg(unix)]
mod wheel_sf_unix;
mod whelan_dieprop;
mod z_kogman_sig_order;
#[cfg(unix)]
mod z_merijn_sigchld_system;
#[cfg(unix)]
mod z_rt39872_sigchld;
#[cfg(unix)]
mod z_rt39872_sigchld_stop;
mod z_rt53302_fh_watchers;
mod z_steinert_signal_integrity;
