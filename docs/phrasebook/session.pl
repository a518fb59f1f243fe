use strict; use warnings;
use POE;

package Greeter;
sub new   { my ($class, $word) = @_; return bless { word => $word }, $class }
sub greet { my ($self, $name) = @_[POE::Session::OBJECT, POE::Session::ARG0]; print "$self->{word}, $name\n" }
sub part  { print "farewell, $_[POE::Session::ARG0]\n" }

package main;
POE::Session->create(
  object_states  => [ Greeter->new('hello') => { greet => 'greet' } ],
  package_states => [ Greeter => ['part'] ],
  inline_states  => {
    _start => sub {
      my ($kernel, $heap, $name) = @_[KERNEL, HEAP, ARG0];
      $kernel->yield(greet => $name);
      $kernel->yield(part => $heap->{other});
      $kernel->yield(unknown => 42);
    },
    _default => sub { print "nobody handles $_[ARG0] with @{$_[ARG1]}\n" if $_[ARG0] !~ /^_/ },
  },
  args => ['ann'],
  heap => { other => 'bob' },
);
POE::Kernel->run();
