// SPDX-License-Identifier: Apache-2.0
// Leftovers: a target's text is compared with its files byte by byte; BPF objects are asked for by id.
#include "tests/support/leftovers.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "user/handles.h"

namespace alloctrail::test {
namespace {

struct TextMapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  std::string range;  ///< as /proc/PID/map_files names it
  std::string path;
};

std::vector<TextMapping> text_mappings(pid_t pid) {
  std::vector<TextMapping> result;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    TextMapping mapping;
    std::string permissions;
    std::string device;
    uint64_t inode = 0;
    words >> mapping.range >> permissions >> std::hex >> mapping.offset >> device >> std::dec >> inode >> std::ws;
    std::getline(words, mapping.path);
    if (permissions.find('x') == std::string::npos || inode == 0) continue;
    mapping.start = std::stoull(mapping.range, nullptr, 16);
    mapping.end = std::stoull(mapping.range.substr(mapping.range.find('-') + 1), nullptr, 16);
    std::ostringstream unpadded;
    unpadded << std::hex << mapping.start << '-' << mapping.end;
    mapping.range = unpadded.str();
    result.push_back(mapping);
  }
  return result;
}

std::string read_at(const std::string& path, uint64_t offset, uint64_t length) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(length, '\0');
  const ssize_t count = ::pread(file.get(), bytes.data(), length, static_cast<off_t>(offset));
  if (count < 0) throw std::runtime_error(path + " cannot be read");
  bytes.resize(static_cast<size_t>(count));
  return bytes;
}

bool exists(const BpfObjectId& object) {
  const int command = object.kind == "prog"  ? BPF_PROG_GET_FD_BY_ID
                      : object.kind == "map" ? BPF_MAP_GET_FD_BY_ID
                                             : BPF_LINK_GET_FD_BY_ID;
  bpf_attr attributes{};
  attributes.map_id = object.id;  // the ids of all three kinds are at the same place
  const UniqueFd handle(static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes))));
  return handle.get() >= 0 || errno != ENOENT;
}

/// Lets other processes run for a moment between two looks at a condition of which the kernel sends no notice.
void let_others_run(const Deadline& deadline, const std::string& awaited) {
  if (deadline.left_ms() == 0) throw TimedOut("waited in vain until " + awaited);
  ::poll(nullptr, 0, 1);
}

}  // namespace

std::vector<std::string> changed_text(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::vector<std::string> changes;
  for (const TextMapping& mapping : text_mappings(pid)) {
    const std::string in_file =
        read_at(process + "/map_files/" + mapping.range, mapping.offset, mapping.end - mapping.start);
    const std::string in_memory = read_at(process + "/mem", mapping.start, in_file.size());
    for (size_t at = 0; at < in_file.size(); ++at) {
      if (at < in_memory.size() && in_memory[at] == in_file[at]) continue;
      std::ostringstream sentence;
      sentence << mapping.path << " at file offset 0x" << std::hex << mapping.offset + at << " differs in memory";
      changes.push_back(sentence.str());
    }
  }
  return changes;
}

std::vector<BpfObjectId> bpf_objects_of(pid_t pid) {
  std::vector<BpfObjectId> objects;
  std::error_code ignored;
  const std::filesystem::path folder = "/proc/" + std::to_string(pid) + "/fdinfo";
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    std::ifstream info(entry.path());
    for (std::string name; info >> name;)
      for (const char* kind : {"prog", "map", "link"})
        if (name == std::string(kind) + "_id:") info >> objects.emplace_back(BpfObjectId{kind, 0}).id;
  }
  return objects;
}

void wait_until_gone(const std::vector<BpfObjectId>& objects, const Deadline& deadline) {
  for (const BpfObjectId& object : objects)
    while (exists(object))
      let_others_run(deadline, "BPF " + object.kind + " " + std::to_string(object.id) + " is gone");
}

char process_state(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const size_t name_end = line.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= line.size() ? '\0' : line[name_end + 2];
}

void wait_until_zombie(pid_t pid, const Deadline& deadline) {
  while (process_state(pid) != 'Z') let_others_run(deadline, "process " + std::to_string(pid) + " is a zombie");
}

}  // namespace alloctrail::test
