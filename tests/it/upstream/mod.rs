//! POE's own test files, one module each: the same facts, by our names.

mod averell_callback_ret;
mod caller_state;
mod detach_start;
mod extrefs_gc;
mod k_alarms;
mod k_aliases;
mod k_detach;
mod k_run_returns;
#[cfg(unix)]
mod k_sig_child;
#[cfg(unix)]
mod k_signals;
mod leolo_alarm_adjust;
mod meh_startstop_return;
mod neyuki_detach;
mod queue_array;
mod rt14444_arg1;
mod rt19908_merlyn_stop;
mod ses_session;
#[cfg(unix)]
mod sigchld;
