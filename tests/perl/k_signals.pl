# Signals of the system and the ends of children, as in POE's own k_signals.
# Laws: L53 (to everybody, deepest first; a watcher's arguments), L54 (PIPE like any other), L56 (CHLD once for each child).
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub sleeper {
  my $pid = fork;
  die $! unless defined $pid;
  return $pid if $pid;
  exec qw(sleep 3600);
}

out '== eight children are killed at once';
POE::Session->create(
  inline_states => {
    _start => sub {
      my ($kernel, $heap) = @_[KERNEL, HEAP];
      $kernel->sig(CHLD => 'ended');
      $kernel->alias_set('keeps it');
      $heap->{$_} = 1 for map { sleeper() } 1 .. 8;
      out 'made ', scalar keys %$heap;
      $kernel->yield('kill');
    },
    # Not by a signal that whoever started this may have had ignored.
    kill  => sub { out 'killed ', kill KILL => keys %{ $_[HEAP] } },
    ended => sub {
      my ($kernel, $heap, $signal, $pid, $status) = @_[KERNEL, HEAP, ARG0 .. ARG2];
      out "$signal ", (delete $heap->{$pid} ? 'of mine' : 'of another'), ", status $status, left ", scalar keys %$heap;
      $kernel->sig('CHLD') unless %$heap;
    },
    _stop => sub { out '_stop' },
  },
);
POE::Kernel->run;

out '== two sessions that wait for each other are idle';
POE::Session->create(
  inline_states => {
    _start => sub {
      POE::Session->create(
        inline_states => {
          _start   => sub { $_[KERNEL]->alias_set('server') },
          do_thing => sub {
            out "do_thing $_[ARG0]";
            $_[KERNEL]->post($_[SENDER], thing_done => $_[ARG0]);
          },
          _stop => sub { out 'server _stop' },
        },
      );
      $_[KERNEL]->post(server => do_thing => 1);
    },
    thing_done => sub { out "thing_done $_[ARG0]" },
    _child     => sub { },
    _stop      => sub { out 'client _stop' },
  },
);
POE::Kernel->run;

out '== USR1 and PIPE to oneself';
POE::Session->create(
  inline_states => {
    _start => sub {
      my $kernel = $_[KERNEL];
      $kernel->sig(USR1 => 'got', 'first');
      $kernel->sig(PIPE => 'got', 'second');
      $kernel->alias_set('waiting');
      $kernel->delay(never => 3600);
      $kernel->yield(send => 'USR1');
    },
    send => sub { out 'sent ', kill($_[ARG0], $$) },
    got  => sub {
      my ($kernel, $heap, $sender, $signal, @own) = @_[KERNEL, HEAP, SENDER, ARG0 .. $#_];
      out "got $signal (@own) from ", ($sender == $kernel ? 'kernel' : 'another');
      # One after the other: the system promises no order of two.
      return $kernel->yield(send => 'PIPE') if ++$heap->{got} == 1;
      $kernel->alias_remove('waiting');
      $kernel->delay('never');
    },
    _stop => sub { out '_stop' },
  },
);
POE::Kernel->run;

out '== TERM through three generations, handled by the one in the middle';
my @generation = qw(parent child grandchild);

sub generation {
  my ($depth, $handler) = @_;
  my $name = $generation[$depth];
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->sig(TERM => 'term');
        $_[KERNEL]->alias_set($name);
        generation($depth + 1, $handler) if $depth < 2;
        $_[KERNEL]->yield('send') unless $depth;
      },
      send => sub { kill TERM => $$; $_[KERNEL]->delay(never => 3600) },
      term => sub {
        out "$name hears $_[ARG0]";
        $_[KERNEL]->sig_handled if $name eq $handler;
        # The parent is the last to hear it, and whether it lives on shows afterwards.
        $_[KERNEL]->yield('again') unless $depth;
      },
      again  => sub { out 'still here'; $_[KERNEL]->delay('never') },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
    },
  );
}
generation(0, 'child');
POE::Kernel->run;

out '== TERM through three generations, handled by nobody';
generation(0, 'nobody');
POE::Kernel->run;
