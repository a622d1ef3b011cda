// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/empty_program.h"

#include <fmt/core.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace alloctrail {

Result<UniqueFd> load_empty_program(ProbeKind kind, int32_t result) {
  const std::array<bpf_insn, 2> code = {
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = result},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  static const char license[] = "Dual BSD/GPL";
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_KPROBE;
  attr.expected_attach_type = static_cast<uint32_t>(expected_attach_type(kind));
  attr.insns = reinterpret_cast<uint64_t>(code.data());
  attr.insn_cnt = code.size();
  attr.license = reinterpret_cast<uint64_t>(license);
  std::memcpy(attr.prog_name, "alloctrail_try", sizeof("alloctrail_try"));
  const long fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
  if (fd < 0) {
    const bool rights = errno == EPERM || errno == EACCES;
    return Error{.kind = rights ? ErrorKind::NotSupported : ErrorKind::Failed,
                 .message = fmt::format("loading an empty {} program: {}", name_of(kind), std::strerror(errno)),
                 .hint = rights ? "run as root, or with CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 6.6)" : "",
                 .os_error = errno};
  }
  return UniqueFd(static_cast<int>(fd));
}

}  // namespace alloctrail
