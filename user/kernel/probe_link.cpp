// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/probe_link.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "user/kernel/empty_program.h"
#include "user/kernel/own_function.h"

namespace alloctrail {
namespace {

constexpr uint32_t kMultiReturnFlag = 1;  // BPF_F_UPROBE_MULTI_RETURN
constexpr int kAttachPerfEvent = 41;      // BPF_PERF_EVENT

/// The part of union bpf_attr that BPF_LINK_CREATE reads (include/uapi/linux/bpf.h, Linux 6.6 and later).
struct MultiLinkAttr {
  uint64_t path;
  uint64_t offsets;
  uint64_t ref_ctr_offsets;
  uint64_t cookies;
  uint32_t count;
  uint32_t flags;
  uint32_t pid;
  uint32_t padding;
};
struct PerfLinkAttr {
  uint64_t cookie;
};
struct LinkCreateAttr {
  uint32_t program_fd;
  uint32_t target_fd;
  uint32_t attach_type;
  uint32_t flags;
  union {
    MultiLinkAttr multi;
    PerfLinkAttr perf;
  };
};

long bpf_link_create_call(LinkCreateAttr& attr) {
  return syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

std::string descriptor_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

constexpr int kNotSupportedInKernel = 524;  // ENOTSUPP (include/linux/errno.h), unknown to the C library

/// What the kernel means when it refuses a probe.
std::string reason_of(int error) {
  return error == kNotSupportedInKernel ? "the kernel cannot probe the instruction there" : std::strerror(error);
}

Error system_error(std::string what, int error) {
  const bool rights = error == EPERM || error == EACCES;
  return Error{.kind = rights ? ErrorKind::NotSupported : ErrorKind::Failed,
               .message = fmt::format("{}: {}", what, reason_of(error)),
               .hint = rights ? "run as root, or with CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 6.6)" : "",
               .os_error = error};
}

/// One link for all points: the kernel takes all or none.
Result<UniqueFd> attach_multi(ProbeKind kind, ProbeSide side, int program_fd, int file_fd, Tid thread,
                              std::span<const ProbePoint> points) {
  const std::string path = descriptor_path(file_fd);
  std::vector<uint64_t> offsets;
  std::vector<uint64_t> cookies;
  for (const ProbePoint& point : points) {
    offsets.push_back(point.file_offset);
    cookies.push_back(point.cookie);
  }
  LinkCreateAttr attr{};
  attr.program_fd = static_cast<uint32_t>(program_fd);
  attr.attach_type = static_cast<uint32_t>(expected_attach_type(kind));
  attr.multi.path = reinterpret_cast<uint64_t>(path.c_str());
  attr.multi.offsets = reinterpret_cast<uint64_t>(offsets.data());
  attr.multi.cookies = reinterpret_cast<uint64_t>(cookies.data());
  attr.multi.count = static_cast<uint32_t>(points.size());
  attr.multi.flags = side == ProbeSide::Return ? kMultiReturnFlag : 0;
  attr.multi.pid = raw(thread);
  const long fd = bpf_link_create_call(attr);
  if (fd < 0) return system_error(fmt::format("attaching {} probes as a {} link", points.size(), name_of(kind)), errno);
  return UniqueFd(static_cast<int>(fd));
}

/// The dynamic event type of uprobes; sysfs is where the kernel publishes it.
Result<uint32_t> uprobe_event_type() {
  std::ifstream file("/sys/bus/event_source/devices/uprobe/type");
  uint32_t type = 0;
  if (!(file >> type))
    return Error{.kind = ErrorKind::NotSupported,
                 .message = "the kernel has no uprobe events (/sys/bus/event_source/devices/uprobe/type)",
                 .hint = "CONFIG_UPROBE_EVENTS=y is needed, and sysfs mounted on /sys"};
  return type;
}

Result<UniqueFd> open_uprobe_event(uint32_t type, ProbeSide side, const std::string& path, uint64_t offset, Tid thread) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = type;
  attr.config = side == ProbeSide::Return ? 1 : 0;  // format/retprobe: config:0
  attr.uprobe_path = reinterpret_cast<uint64_t>(path.c_str());
  attr.probe_offset = offset;
  const long fd = syscall(__NR_perf_event_open, &attr, static_cast<pid_t>(raw(thread)), -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return system_error(fmt::format("opening a uprobe event at offset {:#x}", offset), errno);
  return UniqueFd(static_cast<int>(fd));
}

Status attach_perf(uint32_t type, ProbeSide side, int program_fd, int file_fd, Tid thread, const ProbePoint& point,
                   std::vector<UniqueFd>& links) {
  auto event = open_uprobe_event(type, side, descriptor_path(file_fd), point.file_offset, thread);
  if (!event) return std::move(event).error();
  LinkCreateAttr attr{};
  attr.program_fd = static_cast<uint32_t>(program_fd);
  attr.target_fd = static_cast<uint32_t>(event->get());
  attr.attach_type = kAttachPerfEvent;
  attr.perf.cookie = point.cookie;
  const long fd = bpf_link_create_call(attr);
  if (fd < 0) return system_error(fmt::format("attaching to the uprobe event at {:#x}", point.file_offset), errno);
  links.emplace_back(static_cast<int>(fd));
  links.push_back(*std::move(event));
  return ok();
}

/// Attaches each point by itself.
Result<AttachedPoints> attach_each(std::span<const ProbePoint> points,
                                   const std::function<Status(size_t, std::vector<UniqueFd>&)>& attach) {
  AttachedPoints result;
  for (size_t i = 0; i < points.size(); ++i)
    if (Status attached = attach(i, result.links); !attached)
      result.refused.push_back({.index = i, .error = std::move(attached).error()});
  if (result.refused.size() == points.size()) return std::move(result.refused.front().error);
  return result;
}

}  // namespace

const char* name_of(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Session: return "session";
    case ProbeKind::Multi: return "multi";
    case ProbeKind::Perf: break;
  }
  return "perf";
}

int expected_attach_type(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Session: return kAttachUprobeSession;
    case ProbeKind::Multi: return kAttachUprobeMulti;
    case ProbeKind::Perf: break;
  }
  return 0;
}

Result<AttachedPoints> attach_probes(ProbeKind kind, ProbeSide side, int program_fd, int file_fd, Tid thread,
                                     const std::vector<ProbePoint>& points) {
  if (points.empty()) return AttachedPoints{};
  if (kind == ProbeKind::Perf) {
    const auto type = uprobe_event_type();
    if (!type) return type.error();
    return attach_each(points, [&](size_t i, std::vector<UniqueFd>& links) {
      return attach_perf(*type, side, program_fd, file_fd, thread, points[i], links);
    });
  }
  const auto attach = [&](std::span<const ProbePoint> some, std::vector<UniqueFd>& links) -> Status {
    auto link = attach_multi(kind, side, program_fd, file_fd, thread, some);
    if (!link) return std::move(link).error();
    links.push_back(*std::move(link));
    return ok();
  };
  AttachedPoints together;
  if (attach(points, together.links)) return together;
  return attach_each(points, [&](size_t i, std::vector<UniqueFd>& links) { return attach({&points[i], 1}, links); });
}

Status try_probe_kind(ProbeKind kind) {
  auto program = load_empty_program(kind, 0);
  if (!program) return std::move(program).error();
  auto self = locate_own_function();
  if (!self) return std::move(self).error();
  auto links = attach_probes(kind, ProbeSide::Entry, program->get(), self->file.get(), Tid(static_cast<uint32_t>(getpid())),
                             {{.file_offset = self->file_offset, .cookie = 0}});
  if (!links) return std::move(links).error();
  return ok();
}

Result<ProbeKind> best_probe_kind() {
  Status last = ok();
  for (const ProbeKind kind : {ProbeKind::Session, ProbeKind::Multi, ProbeKind::Perf}) {
    last = try_probe_kind(kind);
    if (last) return kind;
  }
  if (last.error().os_error != EINVAL) return std::move(last).error();
  return Error{.kind = ErrorKind::NotSupported,
               .message = "this kernel has no probes that carry a cookie: " + last.error().message,
               .hint = "Linux 5.15 or later is needed",
               .os_error = EINVAL};
}

}  // namespace alloctrail
