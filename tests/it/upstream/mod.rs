//! POE's own test files, one module each: the same facts, by our names.

mod aliases;
mod assert_data;
mod assert_retval;
mod assert_usage;
mod averell_callback_ret;
mod caller_state;
#[cfg(unix)]
mod children;
mod detach_start;
mod events;
mod exceptions_normal;
mod exceptions_not_handled;
mod exceptions_turn_off;
mod extrefs;
mod extrefs_gc;
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
mod queue_array;
mod rt14444_arg1;
mod rt19908_merlyn_stop;
#[cfg(unix)]
mod rt23181_sigchld_rc;
#[cfg(unix)]
mod rt47966_sigchld;
#[cfg(unix)]
mod sbk_signal_init;
mod ses_nfa;
mod ses_session;
mod sessions;
mod sids;
mod signals;
mod steinert_passed_wheel;
#[cfg(unix)]
mod suzman_windows;
#[cfg(unix)]
mod ton_stop_corruption;
mod tracing_sane_exit;
mod wheel;
mod whelan_dieprop;
mod z_kogman_sig_order;
#[cfg(unix)]
mod z_merijn_sigchld_system;
#[cfg(unix)]
mod z_rt39872_sigchld;
#[cfg(unix)]
mod z_rt39872_sigchld_stop;
mod z_steinert_signal_integrity;
