#!/usr/bin/perl
# Measures two ways beside each other, in turns of milliseconds, so that whatever else the machine does meets
# both alike. It waits in the kernel: no event loop is between the sending and the hearing.
#   beside.pl round-trip|stream HOST PORT HOST PORT MS
# prints [[way 1, way 2], ...], a pair a turn, of {value, cpuUs}: the median of microseconds for a byte and back,
# or bits per second; and what one of them, or a megabyte, takes of both ends' processors, the kernel's part of
# the way included. That says more on a machine that is busy.
use strict;
use warnings;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(clock_gettime usleep CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

my ($mode, @ways) = @ARGV;
my $ms = pop @ways;
my ($trips, $stream_ms, $unsent_request, $poll_us) = (50, 20, 0x5411, 50);    # 0x5411: SIOCOUTQ
my $chunk = 's' x (256 * 1024);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub open_way {
    my ($host, $port) = @_;
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    connect($socket, sockaddr_in($port, inet_aton($host))) or die "connect $host:$port: $!";
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1) or die "nodelay: $!";
    return $socket;
}

sub trip {
    my ($socket) = @_;
    my $start = now();
    syswrite($socket, 'b') or die "write: $!";
    sysread($socket, my $answer, 1) or die "read: $!";
    return (now() - $start) * 1e6;
}

# Until the other end has all of it.
sub unsent {
    my ($socket) = @_;
    my $bytes = pack 'i', 0;
    ioctl($socket, $unsent_request, $bytes) // die "unsent: $!";
    return unpack 'i', $bytes;
}

sub round_trips {
    my ($socket) = @_;
    my @times = map { trip($socket) } 1 .. $trips;
    return ((sort { $a <=> $b } @times)[ @times / 2 ], $trips);
}

# What both ends have used so far.
sub cpu_us {
    my ($control) = @_;
    syswrite($control, 'c') or die "write: $!";
    sysread($control, my $answer, 64) or die "read: $!";
    return $answer + 1e6 * clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
}

sub flow {
    my ($socket) = @_;
    my ($start, $sent) = (now(), 0);
    while (now() - $start < $stream_ms / 1000) {
        $sent += syswrite($socket, $chunk) // die "write: $!";
    }
    usleep($poll_us) while unsent($socket) > 0;
    return ($sent * 8 / (now() - $start), $sent / 2**20);
}

my @sockets = (open_way(@ways[0, 1]), open_way(@ways[2, 3]));
my $control = open_way(@ways[2, 3]);
my $work = $mode eq 'stream' ? \&flow : \&round_trips;

sub turn {
    my ($socket) = @_;
    my $before = cpu_us($control);
    my ($value, $amount) = $work->($socket);
    my $cpu_us = (cpu_us($control) - $before) / $amount;
    return sprintf '{"value":%f,"cpuUs":%f}', $value, $cpu_us;
}

turn($_) for @sockets;
my ($end, @pairs) = (now() + $ms / 1000);
# Each is the first in every other turn: what grows or shrinks from one half of a turn to the other meets both.
while (now() < $end) {
    my @turns = @pairs % 2 ? reverse map { turn($_) } reverse @sockets : map { turn($_) } @sockets;
    push @pairs, '[' . join(',', @turns) . ']';
}
print '[', join(',', @pairs), "]\n";
