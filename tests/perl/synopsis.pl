# The synopsis: ten sessions, each counts to ten by yielding to itself.
# Laws: L1, L2 (one queue, strict first come first served), L18 (start at once),
# L26 (a pending event keeps a session), L29 (idle sessions stop newest first).
use strict;
use warnings;
use POE;

$| = 1;

my %counter = (
  _start    => sub {
    print "Session ", $_[SESSION]->ID, " has started.\n";
    $_[KERNEL]->yield('increment');
  },
  increment => sub {
    my $heap = $_[HEAP];
    $heap->{n}++;
    print "Session ", $_[SESSION]->ID, " counted to $heap->{n}.\n";
    $_[KERNEL]->yield('increment') if $heap->{n} < 10;
  },
  _stop     => sub { print "Session ", $_[SESSION]->ID, " has stopped.\n" },
);

POE::Session->create(inline_states => \%counter) for 1 .. 10;
POE::Kernel->run;
