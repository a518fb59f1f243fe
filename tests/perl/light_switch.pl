# POE's ses_nfa as a transcript: a light switch with its operator, a machine that stops
# itself, a server that computes in a state which it calls.
# Laws: L80-L84, L65 (SENDER).
use strict;
use warnings;

$| = 1;
sub out { print @_, "\n" }

# Both kinds of sessions export names for their arguments, so each is used in a package of its own.
package Machine;
use POE qw(NFA);
BEGIN { *out = \&main::out }

sub light {
  POE::NFA->spawn(
    inline_states => {
      initial => {
        start    => sub { $_[KERNEL]->alias_set('switch'); $_[MACHINE]->goto_state('off'); out "start" },
        _default => sub { },
      },
      off => {
        enter    => sub { out "off: enter from $_[STATE]"; $_[KERNEL]->post($_[ARG0] => visibility => 'dark') },
        pushed   => sub { out "off: pushed"; $_[MACHINE]->goto_state(on => enter => $_[SENDER]) },
        leave    => sub { out "off: leave" },
        _default => sub { },
      },
      on => {
        enter    => sub { out "on: enter from $_[STATE]"; $_[KERNEL]->post($_[ARG0] => visibility => 'bright') },
        pushed   => sub { out "on: pushed"; $_[MACHINE]->goto_state(off => enter => $_[SENDER]) },
        leave    => sub { out "on: leave" },
        _default => sub { },
      },
    },
  )->goto_state(initial => 'start');
}

sub brief {
  POE::NFA->spawn(
    inline_states => {
      initial => {
        start    => sub { $_[KERNEL]->alias_set('brief'); $_[MACHINE]->stop; $_[KERNEL]->yield('late'); out "start" },
        late     => sub { out "late!" },
        _default => sub { },
      },
    },
  )->goto_state(initial => 'start');
}

sub server {
  POE::NFA->spawn(
    inline_states => {
      initial => {
        start    => sub { $_[KERNEL]->alias_set('server'); $_[MACHINE]->goto_state('listen') },
        _default => sub { },
      },
      listen => {
        request => sub {
          $_[RUNSTATE]{client} = $_[SENDER]->ID;
          $_[MACHINE]->call_state(answer => calculate => start => $_[ARG0]);
          out "listen: request $_[ARG0]";
        },
        answer => sub {
          out "listen: answer $_[ARG0]";
          $_[KERNEL]->post(delete($_[RUNSTATE]{client}), fib => $_[ARG0]);
        },
        _default => sub { },
      },
      calculate => {
        start => sub {
          out "calculate: start $_[ARG0]";
          return $_[MACHINE]->return_state($_[ARG0]) if $_[ARG0] < 2;
          @{ $_[RUNSTATE] }{qw(a b n)} = (0, 1, $_[ARG0]);
          $_[KERNEL]->yield('next');
        },
        next => sub {
          my $r = $_[RUNSTATE];
          @$r{qw(a b)} = ($r->{b}, $r->{a} + $r->{b});
          out "calculate: next $r->{b}";
          if   (--$r->{n} == 1) { $_[MACHINE]->return_state($r->{b}) }
          else                  { $_[KERNEL]->yield('next') }
        },
        _default => sub { },
      },
    },
  )->goto_state(initial => 'start');
}

package main;
use POE::Session;
use POE::Kernel;

out "== a light is on after each odd push";
Machine::light();
POE::Session->create(
  inline_states => {
    _start     => sub { $_[KERNEL]->alias_set('operator'); $_[KERNEL]->yield('push') },
    push       => sub { out "push ", ++$_[HEAP]{pushes}; $_[KERNEL]->post(switch => 'pushed') },
    visibility => sub { out "it is $_[ARG0]"; $_[KERNEL]->yield('push') if $_[HEAP]{pushes} < 3 },
    _stop      => sub { out "operator _stop" },
  },
);
POE::Kernel->run;

out "== one that stops itself in its first state";
POE::Session->create(
  inline_states => {
    _start => sub {
      Machine::brief();
    },
    _child => sub { out "_child $_[ARG0]" },
    _stop  => sub { out "parent _stop" },
  },
);
POE::Kernel->run;

out "== a server that computes in a state which it calls";
Machine::server();
my @wanted = (0, 1, 2, 5);
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->alias_set('client'); $_[KERNEL]->yield('ask') },
    ask    => sub { out "ask"; $_[KERNEL]->post(server => request => shift @wanted) },
    fib    => sub { out "got $_[ARG0]"; $_[KERNEL]->yield('ask') if @wanted },
    _stop  => sub { out "client _stop" },
  },
);
POE::Kernel->run;
