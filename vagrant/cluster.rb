# Which machines there are, and how each becomes part of the cluster. Used by the Vagrantfile.
module SwarmdCluster
  PORT = 4242
  REGISTRY_PORT = 5000

  Host = Struct.new(:name, :role, :address) do
    def first?
      name == 'm1'
    end
  end

  module_function

  def subnet
    ENV.fetch('SUBNET', '192.168.77')
  end

  # The demo's registry runs on the first manager.
  def registry
    "#{subnet}.11:#{REGISTRY_PORT}"
  end

  def count(variable, default, least)
    number = Integer(ENV.fetch(variable, default.to_s))
    raise ArgumentError, "#{variable} must be at least #{least}" if number < least

    number
  end

  def hosts
    managers = (1..count('MANAGERS', 3, 1)).map { |i| Host.new("m#{i}", 'manager', "#{subnet}.#{10 + i}") }
    workers = (1..count('WORKERS', 2, 0)).map { |i| Host.new("w#{i}", 'worker', "#{subnet}.#{100 + i}") }
    managers + workers
  end

  # Makes the cluster on the first manager, joins it everywhere else; a machine that is in it stays.
  def join(environment, machine, host)
    return unless run(machine, "swarmctl info --format json").include?('"state":"inactive"')

    if host.first?
      run(machine, "swarmctl swarm init --advertise-addr #{host.address}")
    else
      first = environment.machine(:m1, machine.provider_name)
      token = run(first, "swarmctl swarm join-token --quiet #{host.role}").strip
      run(machine, "swarmctl swarm join --token #{token} --advertise-addr #{host.address} #{subnet}.11:#{PORT}")
    end
  end

  def run(machine, command)
    output = +''
    machine.communicate.sudo(command) { |type, data| output << data if type == :stdout }
    output
  end
end
