require 'json'

# Which machines there are, and how each becomes part of the cluster. Used by the Vagrantfile.
module SwarmdCluster
  PORT = 4242
  REGISTRY_PORT = 5000
  # Addresses end in 11 and up for managers, 101 and up for workers.
  MANAGERS_MAX = 89
  WORKERS_MAX = 150

  Host = Struct.new(:name, :role, :address) do
    def first?
      name == 'm1'
    end
  end

  module_function

  # First three bytes. Without configuration VirtualBox allows 192.168.56 to 192.168.63 only.
  def subnet
    subnet = ENV.fetch('SUBNET', '192.168.61')
    return subnet if subnet.match?(/\A\d{1,3}\.\d{1,3}\.\d{1,3}\z/)

    raise ArgumentError, "SUBNET must be the first three bytes of addresses, such as 192.168.61, not \"#{subnet}\""
  end

  # The demo's registry runs on the first manager.
  def registry
    "#{subnet}.11:#{REGISTRY_PORT}"
  end

  def count(variable, default, range)
    text = ENV.fetch(variable, default.to_s)
    number = Integer(text, 10, exception: false)
    return number if range.cover?(number)

    raise ArgumentError, "#{variable} must be a number from #{range.min} to #{range.max}, not \"#{text}\""
  end

  def hosts
    managers = count('MANAGERS', 3, 1..MANAGERS_MAX)
    workers = count('WORKERS', 2, 0..WORKERS_MAX)
    (1..managers).map { |i| Host.new("m#{i}", 'manager', "#{subnet}.#{10 + i}") } +
      (1..workers).map { |i| Host.new("w#{i}", 'worker', "#{subnet}.#{100 + i}") }
  end

  # Makes the cluster on the first manager, joins it everywhere else; a machine that is in it stays.
  def join(environment, machine, host)
    return unless JSON.parse(run(machine, 'swarmctl info --format json'))['state'] == 'inactive'

    if host.first?
      run(machine, "swarmctl swarm init --advertise-addr #{host.address}")
    else
      first = environment.machine(:m1, machine.provider_name)
      token = run(first, "swarmctl swarm join-token --quiet #{host.role}").strip
      run(machine, "swarmctl swarm join --token #{token} --advertise-addr #{host.address} #{subnet}.11:#{PORT}")
    end
  end

  # What the command prints; Vagrant raises when it fails.
  def run(machine, command)
    output = +''
    machine.communicate.sudo(command) { |type, data| output << data if type == :stdout }
    output
  end
end
