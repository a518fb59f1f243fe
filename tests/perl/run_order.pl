# Run: records, the ends of the outputs and the close, in their order; an input that breaks.
# Rows: RU.p3 to RU.p6, RU5, RU8, RU10, RU11; law 26 of the I/O layer.
use strict;
use warnings;
use POE qw(Wheel::Run);
use Errno qw(EPIPE);

$| = 1;
sub out { print @_, "\n" }

sub program {
  my ($title, $script, $then, %o) = @_;
  out "== $title";
  POE::Session->create(
    inline_states => {
      _start => sub {
        my $heap = $_[HEAP];
        $heap->{wheel} = POE::Wheel::Run->new(
          Program => ['sh', '-c', $script], ErrorEvent => 'error', CloseEvent => 'close', StdinEvent => 'flushed',
          ($o{quiet} ? () : (StdoutEvent => 'stdout', StderrEvent => 'stderr')),
        );
        $_[KERNEL]->sig_child($heap->{wheel}->PID, 'reaped');
        $then->($heap, 'begun');
      },
      stdout => sub { out "stdout $_[ARG0]"; $then->($_[HEAP], "stdout $_[ARG0]") },
      stderr => sub { out "stderr $_[ARG0]" },
      flushed => sub { out 'flushed' },
      error => sub {
        my ($operation, $errno, $stream) = @_[ARG0, ARG1, ARG4];
        my $what = $errno == 0 ? 'end' : $errno == EPIPE ? 'EPIPE' : $errno;
        out "$stream $operation $what";
        $then->($_[HEAP], "$stream $operation $what");
      },
      close => sub { out 'close'; $_[HEAP]{closed} = 1; delete $_[HEAP]{wheel} if $_[HEAP]{reaped} },
      reaped => sub { $_[HEAP]{reaped} = 1; delete $_[HEAP]{wheel} if $_[HEAP]{closed} || $o{quiet} },
      _stop => sub { out '_stop' },
    },
  );
  POE::Kernel->run;
}

program('output first', 'echo a; echo b; printf rest; exec 1>&-; sleep 1; echo c >&2; printf rest >&2', sub { });
program('complaints first', 'exec 2>&-; sleep 1; echo a; echo b', sub { });
program('an answer', 'read line; echo "<$line>"; exec 1>&-; sleep 1', sub { $_[0]{wheel}->put('hello') if $_[1] eq 'begun' });
program('the end of input', 'exec 2>&-; sleep 1; cat; echo over', sub { $_[0]{wheel}->shutdown_stdin if $_[1] eq 'STDERR read end' });
program('an input that breaks', 'exec 0<&-; echo ready; sleep 1; exec 2>&-; sleep 1',
  sub { $_[0]{wheel}->put('anybody?') if $_[1] eq 'stdout ready' });
program('without outputs', 'exit 0', sub { }, quiet => 1);
