// SPDX-License-Identifier: Apache-2.0
// Reading the memory controller's files; see Documentation/admin-guide/cgroup-{v1/memory,v2}.rst of the kernel.
#include "user/target/memory_cgroup.h"

#include <algorithm>
#include <cerrno>

#include "user/target/memory_status.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

using Version = MemoryHierarchy::Version;

constexpr size_t kMaxFileBytes = 65536;
constexpr size_t kMaxMountinfoBytes = 16u << 20;
constexpr int kMaxDepth = 64;
// v1 writes "no limit" as the largest counter, rounded down to pages (PAGE_COUNTER_MAX, include/linux/page_counter.h).
constexpr uint64_t kUnlimitedFrom = uint64_t{1} << 62;

/// The lines of a text, without their ends.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view take_field(std::string_view& line, char separator) {
  const size_t end = std::min(line.find(separator), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

bool has_item(std::string_view list, std::string_view item) {
  while (!list.empty())
    if (take_field(list, ',') == item) return true;
  return false;
}

/// mountinfo writes blanks and backslashes in paths as three octal digits.
std::string without_octal_escapes(std::string_view path) {
  std::string out;
  for (size_t at = 0; at < path.size(); ++at) {
    const auto code =
        path[at] == '\\' && at + 3 < path.size() ? leading_number(path.substr(at + 1, 3), 8) : std::nullopt;
    out += code ? static_cast<char>(*code) : path[at];
    if (code) at += 3;
  }
  return out;
}

/// "id parent device ROOT MOUNTPOINT options [optional fields] - TYPE source SUPER-OPTIONS"
std::optional<MemoryHierarchy> parse_mount(std::string_view line) {
  const size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view file_system = line.substr(dash + 3);
  const std::string_view type = take_field(file_system, ' ');
  take_field(file_system, ' ');
  if (type != "cgroup2" && !(type == "cgroup" && has_item(file_system, "memory"))) return std::nullopt;
  for (int field = 0; field < 3; ++field) take_field(line, ' ');
  MemoryHierarchy out;
  out.version = type == "cgroup2" ? Version::V2 : Version::V1;
  out.root = without_octal_escapes(take_field(line, ' '));
  out.mount_point = without_octal_escapes(take_field(line, ' '));
  return out;
}

/// The files of one cgroup. A file that is missing (an older kernel, a root cgroup) reads as nothing.
class CgroupFiles {
 public:
  explicit CgroupFiles(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::string text(const char* file) const {
    auto content = read_small_file(directory_ + "/" + file, kMaxFileBytes);
    return content ? *std::move(content) : std::string();
  }
  [[nodiscard]] std::optional<uint64_t> number(const char* file) const { return leading_number(text(file)); }
  /// "max" and v1's huge number are no limit.
  [[nodiscard]] std::optional<uint64_t> limit(const char* file) const {
    const auto value = number(file);
    return value && *value < kUnlimitedFrom ? value : std::nullopt;
  }

 private:
  std::string directory_;
};

/// memory.stat: "KEY N" a line.
uint64_t stat(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (take_field(line, ' ') == key) return leading_number(line).value_or(0);
  }
  return 0;
}

uint64_t difference(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

std::optional<CgroupMemory> read_v1(const CgroupFiles& files) {
  const auto use = files.number("memory.usage_in_bytes");
  if (!use) return std::nullopt;
  const std::string text = files.text("memory.stat");
  CgroupMemory out;
  out.use_bytes = *use;
  out.limit_bytes = files.limit("memory.limit_in_bytes");
  out.memory_and_swap_limit_bytes = files.limit("memory.memsw.limit_in_bytes");
  out.anon_bytes = stat(text, "total_rss");
  out.shmem_bytes = stat(text, "total_shmem");
  out.file_bytes = difference(stat(text, "total_cache"), out.shmem_bytes);
  out.kernel_bytes = files.number("memory.kmem.usage_in_bytes").value_or(0);
  out.reclaimable_bytes = stat(text, "total_inactive_file") + stat(text, "total_active_file");
  out.swap_use_bytes = stat(text, "total_swap");
  return out;
}

/// Linux before 5.18 has no sum of the kernel's parts.
uint64_t kernel_bytes_v2(std::string_view text) {
  const uint64_t sockets = stat(text, "sock");
  const uint64_t sum = stat(text, "kernel");
  if (sum != 0) return sum + sockets;
  return stat(text, "kernel_stack") + stat(text, "pagetables") + stat(text, "percpu") + stat(text, "slab") + sockets;
}

std::optional<CgroupMemory> read_v2(const CgroupFiles& files) {
  const auto use = files.number("memory.current");
  if (!use) return std::nullopt;
  const std::string text = files.text("memory.stat");
  CgroupMemory out;
  out.use_bytes = *use;
  out.limit_bytes = files.limit("memory.max");
  out.high_bytes = files.limit("memory.high");
  out.swap_limit_bytes = files.limit("memory.swap.max");
  out.swap_use_bytes = files.number("memory.swap.current").value_or(0);
  out.anon_bytes = stat(text, "anon");
  out.shmem_bytes = stat(text, "shmem");
  out.file_bytes = difference(stat(text, "file"), out.shmem_bytes);
  out.kernel_bytes = kernel_bytes_v2(text);
  out.reclaimable_bytes = stat(text, "inactive_file") + stat(text, "active_file") + stat(text, "slab_reclaimable");
  return out;
}

std::optional<CgroupMemory> read_level(const MemoryHierarchy& hierarchy, const std::string& name) {
  const std::string below = hierarchy.root == "/" ? name : name.substr(hierarchy.root.size());
  const CgroupFiles files(hierarchy.mount_point + below);
  auto out = hierarchy.version == Version::V1 ? read_v1(files) : read_v2(files);
  if (out) out->name = name;
  return out;
}

bool is_below(std::string_view name, std::string_view root) {
  return root == "/" || name == root || (name.starts_with(root) && name[root.size()] == '/');
}

std::string parent(const std::string& name) {
  const size_t slash = name.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : name.substr(0, slash);
}

}  // namespace

std::optional<MemoryHierarchy> parse_memory_hierarchy(std::string_view mountinfo) {
  std::optional<MemoryHierarchy> found;
  while (!mountinfo.empty()) {
    auto mount = parse_mount(take_line(mountinfo));
    if (!mount) continue;
    const bool better = !found || (found->version == Version::V2 && mount->version == Version::V1) ||
                        (found->version == mount->version && found->root != "/" && mount->root == "/");
    if (better) found = std::move(mount);
  }
  return found;
}

Result<MemoryHierarchy> find_memory_hierarchy() {
  const auto text = read_small_file("/proc/self/mountinfo", kMaxMountinfoBytes);
  if (!text) return text.error();
  auto found = parse_memory_hierarchy(*text);
  if (!found)
    return Error{ErrorKind::NotSupported, "no cgroup hierarchy with the memory controller is mounted",
                 "without one, only the host's memory bounds a process", 0};
  return *std::move(found);
}

std::string memory_cgroup_name(std::string_view proc_cgroup, MemoryHierarchy::Version version) {
  while (!proc_cgroup.empty()) {
    std::string_view line = take_line(proc_cgroup);  // "ID:CONTROLLERS:NAME"
    const std::string_view id = take_field(line, ':');
    const std::string_view controllers = take_field(line, ':');
    const bool right = version == Version::V2 ? id == "0" && controllers.empty() : has_item(controllers, "memory");
    if (right) return std::string(line);
  }
  return {};
}

Result<std::string> memory_cgroup_of(const MemoryHierarchy& hierarchy, Tgid pid) {
  const auto text = read_small_file(proc_path(static_cast<pid_t>(raw(pid)), "cgroup"), kMaxFileBytes);
  if (!text) return cannot_look_at(pid, text.error().os_error);
  std::string name = memory_cgroup_name(*text, hierarchy.version);
  if (name.empty()) return cannot_look_at(pid, ESRCH);
  return name;
}

Result<CgroupLevels> read_memory_cgroup(const MemoryHierarchy& hierarchy, const std::string& name) {
  // A process outside of our cgroup namespace is in "/../other".
  if (!name.starts_with('/') || name.starts_with("/..") || !is_below(name, hierarchy.root))
    return Error{ErrorKind::NotSupported, "memory cgroup '" + name + "' lies outside of what is mounted here",
                 "run on the host to see its limits", 0};
  CgroupLevels out;
  out.outer_hidden = hierarchy.root != "/";
  std::string level = name;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    auto memory = read_level(hierarchy, level);
    if (!memory && level == name && level != "/")
      return Error{ErrorKind::Failed, "memory cgroup '" + name + "' is gone", "", ENOENT};
    const bool is_host = level == "/" && memory && !memory->limit_bytes;
    if (memory && !is_host) out.innermost_first.push_back(*std::move(memory));
    if (level == hierarchy.root || level == "/") break;
    level = parent(level);
  }
  return out;
}

Result<MemoryBounds> read_memory_bounds(Tgid pid) {
  MemoryBounds out;
  auto host = read_host_memory();
  if (!host) return std::move(host).error();
  out.host = *host;
  const auto hierarchy = find_memory_hierarchy();
  if (!hierarchy) return out;
  const auto name = memory_cgroup_of(*hierarchy, pid);
  if (!name) return name.error();
  auto levels = read_memory_cgroup(*hierarchy, *name);
  out.outer_cgroups_hidden = !levels || levels->outer_hidden;
  if (levels) out.cgroups = std::move(levels->innermost_first);
  return out;
}

}  // namespace alloctrail
