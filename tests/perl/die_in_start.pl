# An exception in _start.
# Laws: L21 (the session lives on, the parent is told, the constructor returns, DIE comes
# later), L69.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

sub family {
  my ($who) = @_;    # who handles DIE: 'parent', 'child' or nobody
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[KERNEL]->sig(DIE => 'died');
        $_[KERNEL]->yield('go');
        $_[KERNEL]->yield('after');
      },
      go => sub {
        my $child = POE::Session->create(
          inline_states => {
            _start => sub {
              out "child _start";
              $_[KERNEL]->sig(DIE => 'died');
              $_[KERNEL]->yield('event');
              die "start trouble\n";
            },
            event => sub { out "child event" },
            died  => sub {
              my $info = $_[ARG1];
              out "child hears DIE: event $info->{event}, error ", $info->{error_str} =~ s/\n$//r;
              $_[KERNEL]->sig_handled if $who eq 'child';
            },
            _stop => sub { out "child _stop"; 'stopped' },
          },
        );
        out "create returned ", (defined $child ? 'a session' : 'nothing');
        out "post to it: ", $_[KERNEL]->post($child => 'event');
      },
      after => sub { out "parent goes on" },
      died  => sub {
        out "parent hears DIE";
        $_[KERNEL]->sig_handled if $who eq 'parent';
      },
      _child => sub { out "parent _child $_[ARG0] (", $_[ARG2] // 'undef', ")" },
      _stop  => sub { out "parent _stop" },
    },
  );
}

for my $who (qw(child parent nobody)) {
  out "== handled by $who";
  family($who);
  run();
}

out "== outside any session";
my $session = POE::Session->create(
  inline_states => {
    _start => sub { die "first breath\n" },
    _stop  => sub { out "_stop" },
  },
);
out "create returned ", (defined $session ? 'a session' : 'nothing');
run();
