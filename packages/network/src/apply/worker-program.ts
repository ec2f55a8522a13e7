/**
 * The program of the worker (`worker.ts`): LuaJIT, for its foreign functions in a process of 3 MiB. It
 * knows nothing of networks: it is told which bytes to write where, in which namespace.
 *
 * A job is "ID LENGTH\n" and so many bytes, which are operations "NAME ARGUMENT LENGTH\n" with bytes of
 * their own. Nothing of a job is done before all of it was read. It stops at the first operation that
 * fails. The answer is a line "ID CODE text": code 0 and what was listed, or 1 with the number of the operation and why.
 *
 * - `in NAMESPACE`: the others of this job happen there; "-" is the host's own.
 * - `add NAMESPACE`, `del NAMESPACE`: as ip-netns(8) makes and removes them.
 * - `set FILE`: its new content. `nft -`: one transaction in the language of nft(8); `list -`: what such a command lists,
 *   without counters. `scratch -`: the others happen in a namespace that ends with the job.
 * - `rt FILLS`: one message of rtnetlink(7), after numbers that only the kernel knows were put in:
 *   comma-separated OFFSET=i:LINK (its index) and OFFSET=n:NAMESPACE (a descriptor of it).
 *
 * - `gone FILLS`: the same, but it is fine when there is no such device.
 *
 * nft makes its socket wait for the kernel's readers when it is closed, some 15 ms after anything was
 * deleted. So sockets are kept, and closed when nothing was to be done for a while and nothing is left to
 * wait for.
 */
export const WORKER_PROGRAM = String.raw`
local ffi = require 'ffi'
ffi.cdef [[
  int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);
  int getppid(void);
  int setns(int, int);
  int unshare(int);
  int open(const char *, int, unsigned);
  int close(int);
  long read(int, void *, size_t);
  long write(int, const void *, size_t);
  int mkdir(const char *, unsigned);
  int mount(const char *, const char *, const char *, unsigned long, const void *);
  int umount2(const char *, int);
  int unlink(const char *);
  int socket(int, int, int);
  int setsockopt(int, int, int, const void *, unsigned);
  long send(int, const void *, size_t, int);
  long recv(int, void *, size_t, int);
  unsigned if_nametoindex(const char *);
  char *strerror(int);
  struct pollfd { int fd; short events; short revents; };
  int poll(struct pollfd *, unsigned long, int);
  struct nft_ctx *nft_ctx_new(uint32_t);
  void nft_ctx_free(struct nft_ctx *);
  int nft_run_cmd_from_buffer(struct nft_ctx *, const char *);
  int nft_ctx_buffer_error(struct nft_ctx *);
  int nft_ctx_buffer_output(struct nft_ctx *);
  const char *nft_ctx_get_error_buffer(struct nft_ctx *);
  const char *nft_ctx_get_output_buffer(struct nft_ctx *);
  void nft_ctx_output_set_flags(struct nft_ctx *, unsigned);
]]
local C, nft = ffi.C, nil
jit.off() -- calls are few, and memory is dear
local PARENT, KEEP_MS, KEEP_MAX, TEXT_MAX = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local NETNS, CLOEXEC, NEWNET = '/run/netns/', 0x80000, 0x40000000
C.prctl(1, 9, 0, 0, 0) -- PR_SET_PDEATHSIG: SIGKILL
if C.getppid() ~= PARENT then os.exit(0) end

local function check(result, what)
  if result >= 0 then return result end
  error(what .. ': ' .. ffi.string(C.strerror(ffi.errno())), 0)
end
local function open(path) return check(C.open(path, CLOEXEC, 0), path) end
local host = open('/proc/self/ns/net')
local inside, sock = '-', -1

local function enter(name)
  if name == inside then return end
  if sock >= 0 then C.close(sock); sock = -1 end
  if name == '-' then check(C.setns(host, NEWNET), 'setns')
  else
    local fd = open(NETNS .. name)
    local result = C.setns(fd, NEWNET)
    C.close(fd)
    check(result, NETNS .. name)
  end
  inside = name
end

local kept = {}
local function free(count)
  for _ = 1, count do nft.nft_ctx_free(table.remove(kept, 1)) end
end

local answer = ffi.new('uint8_t[32768]')
local function netlink(message, length)
  if sock < 0 then
    sock = check(C.socket(16, 3 + CLOEXEC, 0), 'netlink')
    local one = ffi.new('int[1]', 1)
    C.setsockopt(sock, 270, 10, one, 4) -- NETLINK_CAP_ACK
    C.setsockopt(sock, 270, 11, one, 4) -- NETLINK_EXT_ACK
  end
  check(C.send(sock, message, length, 0), 'netlink')
  local got = check(C.recv(sock, answer, ffi.sizeof(answer), 0), 'netlink')
  local code = ffi.cast('int32_t *', answer + 16)[0]
  if code == 0 then return 0 end
  local why = ffi.string(C.strerror(-code))
  local at = 36
  while at + 4 <= got do
    local head = ffi.cast('uint16_t *', answer + at)
    if head[0] < 4 then break end
    if head[1] == 1 then why = why .. ': ' .. ffi.string(answer + at + 4) end
    at = at + math.floor((head[0] + 3) / 4) * 4
  end
  return -code, why
end

local does = { ['in'] = enter }
does['add'] = function(name)
  C.mkdir(NETNS, 493) -- 0755; it may be there
  if C.mount('', NETNS, 'none', 0x104000, nil) ~= 0 then -- MS_SHARED | MS_REC
    check(C.mount(NETNS, NETNS, 'none', 0x5000, nil), NETNS) -- MS_BIND | MS_REC
    check(C.mount('', NETNS, 'none', 0x104000, nil), NETNS)
  end
  local path = NETNS .. name
  C.close(check(C.open(path, CLOEXEC + 0xc0, 0), path)) -- O_CREAT | O_EXCL
  inside = name
  check(C.unshare(NEWNET), 'unshare')
  check(C.mount('/proc/self/ns/net', path, 'none', 0x1000, nil), path)
  if sock >= 0 then C.close(sock); sock = -1 end
  enter('-')
end
does['del'] = function(name)
  local path = NETNS .. name
  C.umount2(path, 2) -- MNT_DETACH; a name that was never mounted is only a file
  check(C.unlink(path), path)
end
does['set'] = function(path, value)
  local fd = C.open(path, CLOEXEC + 1, 0)
  if fd < 0 and path:sub(-1) == '?' then
    fd = C.open(path:sub(1, -2), CLOEXEC + 1, 0)
    if fd < 0 and ffi.errno() == 2 then return end
  end
  check(fd, path)
  local result = C.write(fd, value, #value)
  local why = ffi.errno()
  C.close(fd)
  if result < 0 then error(path .. ': ' .. ffi.string(C.strerror(why)), 0) end
end
local function run(text, flags)
  nft = nft or ffi.load('libnftables.so.1')
  if #kept >= KEEP_MAX then free(KEEP_MAX / 2) end
  local context = nft.nft_ctx_new(0)
  kept[#kept + 1] = context
  nft.nft_ctx_buffer_error(context)
  nft.nft_ctx_buffer_output(context)
  nft.nft_ctx_output_set_flags(context, flags)
  if nft.nft_run_cmd_from_buffer(context, text) ~= 0 then
    error(ffi.string(nft.nft_ctx_get_error_buffer(context)), 0)
  end
  return context
end
does['nft'] = function(_, text) run(text, 0) end
does['list'] = function(_, text)
  local context = run(text, 4) -- NFT_CTX_OUTPUT_STATELESS
  return ffi.string(nft.nft_ctx_get_output_buffer(context))
end
does['scratch'] = function()
  if sock >= 0 then C.close(sock); sock = -1 end
  inside = ''
  check(C.unshare(NEWNET), 'unshare')
end
local function tell(fills, bytes, fine)
  local message = ffi.new('uint8_t[?]', #bytes)
  ffi.copy(message, bytes, #bytes)
  local opened = {}
  local ok, why = pcall(function()
    for at, kind, name in fills:gmatch('(%d+)=(%a):([^,]+)') do
      local number
      if kind == 'i' then
        number = C.if_nametoindex(name)
        if number == 0 then error('there is no device ' .. name, 0) end
      else
        number = open(NETNS .. name)
        opened[#opened + 1] = number
      end
      ffi.cast('uint32_t *', message + tonumber(at))[0] = number
    end
    local code, why = netlink(message, #bytes)
    if code ~= 0 and code ~= fine then error(why, 0) end
  end)
  for _, fd in ipairs(opened) do C.close(fd) end
  if not ok then error(why, 0) end
end
does['rt'] = function(fills, bytes) tell(fills, bytes, 0) end
does['gone'] = function(fills, bytes) tell(fills, bytes, 19) end -- ENODEV

local function work(job)
  local at, number, listed = 1, 0, ''
  while at <= #job do
    local from, to, name, argument, length = job:find('^(%a+) (%S+) (%d+)\n', at)
    number = number + 1
    local bytes = job:sub(to + 1, to + tonumber(length))
    at = to + 1 + #bytes
    local ok, why = pcall(does[name], argument, bytes)
    if not ok then return '1 ' .. number .. ' ' .. tostring(why):sub(1, TEXT_MAX):gsub('\n', '\30') end
    if why then listed = listed .. why end
  end
  return '0 ' .. listed:gsub('\n', '\30')
end

local chunk = ffi.new('uint8_t[65536]')
local input = ffi.new('struct pollfd[1]')
input[0].fd, input[0].events = 0, 1
local function more()
  if #kept > 0 and C.poll(input, 1, KEEP_MS) == 0 then free(#kept) end
  local got = tonumber(C.read(0, chunk, 65536))
  if got <= 0 then os.exit(0) end
  return ffi.string(chunk, got)
end
local unread = ''
while true do
  local from, to, id, length
  repeat
    unread = unread .. more()
    from, to, id, length = unread:find('^(%d+) (%d+)\n')
  until from
  repeat
    length = tonumber(length)
    local parts, have = { unread:sub(to + 1) }, #unread - to
    while have < length do
      parts[#parts + 1] = more()
      have = have + #parts[#parts]
    end
    local bytes = table.concat(parts)
    unread = bytes:sub(length + 1)
    local said = work(bytes:sub(1, length))
    enter('-')
    local line = id .. ' ' .. said .. '\n'
    if C.write(1, line, #line) < 0 then os.exit(1) end
    from, to, id, length = unread:find('^(%d+) (%d+)\n')
  until not from
end
`;
