# sig_child: one event for each session and child, then CHLD, as in POE's own k_sig_child.
# Laws: L55 (once; two sessions; watching again replaces), L56 (sig_child's first; raw status), L57 (not idle meanwhile).
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub child {
  my @command = @_;
  my $pid = fork;
  die $! unless defined $pid;
  return $pid if $pid;
  exec @command;
}

sub told {
  my ($name, $sender, $signal, $pid, $status, @own) = @_;
  out "$name: $signal, ", ($pid == $main::pid ? 'that one' : 'another'), ", status $status (@own) from ",
    ($sender == $poe_kernel ? 'kernel' : 'another');
}

our $pid;

sub watcher {
  my ($name, %o) = @_;
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->sig_child($pid, 'ended', @{ $o{own} || [] });
        $o{start}->($_[KERNEL]) if $o{start};
      },
      ended => sub { told($name, @_[SENDER, ARG0 .. $#_]) },
      other => sub { told("$name otherwise", @_[SENDER, ARG0 .. $#_]) },
      _stop => sub { out "$name _stop" },
    },
  );
}

out '== two sessions and a blanket watcher';
$pid = child(qw(sleep 3600));
# Of two, no order is promised: they cannot be told apart.
watcher('watcher', own => ['own']);
watcher('watcher', own => ['own']);
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->sig(CHLD => 'ended'); $_[KERNEL]->alias_set('blanket'); $_[KERNEL]->yield('kill') },
    kill   => sub { kill KILL => $pid },
    ended  => sub { told('blanket', @_[SENDER, ARG0 .. $#_]) },
    _stop  => sub { out 'blanket _stop' },
  },
);
POE::Kernel->run;

out '== an exit code';
$pid = child('sh', '-c', 'exit 7');
watcher('A');
POE::Kernel->run;

out '== cancelled';
$pid = child(qw(sleep 3600));
watcher('A', start => sub { $_[0]->sig_child($pid) });
POE::Kernel->run;
kill KILL => $pid;
waitpid $pid, 0;

out '== an event name without a handler is no harm, and the session is let go';
$pid = child('sh', '-c', 'exit 0');
watcher('A', start => sub { $_[0]->sig_child($pid, 'nowhere'); });
POE::Kernel->run;
