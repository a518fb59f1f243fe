use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub {
      my ($kernel, $session, $heap) = @_[KERNEL, SESSION, HEAP];
      my $callback = $session->callback(square => 'called');
      my $answer = $callback->(7);
      print "the answer is $answer\n";
      my $postback = $session->postback(told => 'first');
      $postback->('again');
    },
    square => sub {
      my ($mine, $given) = @_[ARG0, ARG1];
      print "$mine->[0] with $given->[0]\n";
      return $given->[0] ** 2;
    },
    told  => sub { print "$_[ARG0][0], $_[ARG1][0]\n" },
    _stop => sub { print "nothing holds it any more\n" },
  },
);
POE::Kernel->run();
