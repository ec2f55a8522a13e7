#!/usr/bin/perl
# The end that hears what beside.pl and network-traffic.ts send: other-end.pl PORT. It prints "ready".
#   a stream begins with "s": read into one buffer and forgotten, so that little but the way is measured; an event
#   loop makes a buffer for each read, and has them to collect
#   control begins with "c": each is answered with the microseconds of CPU used so far
#   of anything else every read is answered with a byte
use strict;
use warnings;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID);

my ($port) = @ARGV;
my $most = 256 * 1024;
$SIG{PIPE} = 'IGNORE';

socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1) or die "reuse: $!";
bind($listener, sockaddr_in($port, INADDR_ANY)) or die "bind $port: $!";
listen($listener, 64) or die "listen: $!";
syswrite(STDOUT, "ready\n") or die "ready: $!";

my ($listening, $readable, $buffer) = (fileno($listener), '', '');
my (%sockets, %kinds);
vec($readable, $listening, 1) = 1;

sub begin {
    accept(my $socket, $listener) or return;
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1) or die "nodelay: $!";
    $sockets{ fileno($socket) } = $socket;
    vec($readable, fileno($socket), 1) = 1;
}

sub end {
    my ($number) = @_;
    vec($readable, $number, 1) = 0;
    delete $kinds{$number};
    close(delete $sockets{$number});
}

sub hear {
    my ($number) = @_;
    my $socket = $sockets{$number};
    return end($number) unless sysread($socket, $buffer, $most);
    my $kind = $kinds{$number} //= substr($buffer, 0, 1);
    return if $kind eq 's';
    my $used = int(1e6 * clock_gettime(CLOCK_PROCESS_CPUTIME_ID));
    syswrite($socket, $kind eq 'c' ? "$used\n" : 'a') or end($number);
}

while (1) {
    select(my $now = $readable, undef, undef, undef) > 0 or next;
    begin() if vec($now, $listening, 1);
    vec($now, $_, 1) and hear($_) for keys %sockets;
}
