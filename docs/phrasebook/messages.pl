use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->alias_set('adder') },
    add    => sub { my ($x, $y) = @_[ARG0, ARG1]; return $x + $y },
    note   => sub { print "$_[ARG0] from session ", $_[SENDER]->ID, "\n" },
    done   => sub { $_[KERNEL]->alias_remove('adder') },
  },
);
POE::Session->create(
  inline_states => {
    _start => sub {
      my $kernel = $_[KERNEL];
      $kernel->post(adder => note => 'posted');
      print "called: ", $kernel->call(adder => add => 2, 3), "\n";
      $kernel->yield('last');
      print "nobody is not there\n" unless $kernel->post(nobody => 'note');
    },
    last => sub { $_[KERNEL]->post(adder => 'done') },
  },
);
POE::Kernel->run();
