// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/oom_programs.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <memory>

namespace alloctrail {
namespace {

struct BtfDeleter {
  void operator()(btf* types) const { btf__free(types); }
};

/// Whether oom:mark_victim hands over the task, as since Linux 6.9 (and in stable kernels it was carried back to), or only
/// a thread id.
bool mark_has_task() {
  const std::unique_ptr<btf, BtfDeleter> types(btf__load_vmlinux_btf());
  if (!types) return true;
  const int id = btf__find_by_name_kind(types.get(), "btf_trace_mark_victim", BTF_KIND_TYPEDEF);
  if (id < 0) return true;
  const btf_type* pointer = btf__type_by_id(types.get(), btf__type_by_id(types.get(), static_cast<__u32>(id))->type);
  const btf_type* function = pointer == nullptr ? nullptr : btf__type_by_id(types.get(), pointer->type);
  if (function == nullptr || !btf_is_func_proto(function) || btf_vlen(function) < 2) return true;
  const btf_type* argument = btf__type_by_id(types.get(), btf_params(function)[1].type);
  return argument != nullptr && btf_is_ptr(argument);
}

}  // namespace

std::vector<OomProgram> oom_programs(const alloctrail_bpf& skeleton) {
  return {{skeleton.progs.at_oom_exit, "sched_process_exit"},
          {skeleton.progs.at_oom_thread, "signal_deliver"},
          {skeleton.progs.at_oom_mark, "mark_victim"},
          {skeleton.progs.at_oom_mark_id, "mark_victim"},
          {skeleton.progs.at_oom_reclaim, "mm_vmscan_memcg_reclaim_begin", true},
          {skeleton.progs.at_oom_signal, "signal_generate"}};
}

void choose_oom_programs(alloctrail_bpf& skeleton, ReclaimNotices reclaim) {
  for (const OomProgram& program : oom_programs(skeleton)) bpf_program__set_autoload(program.program, true);
  bpf_program__set_autoload(mark_has_task() ? skeleton.progs.at_oom_mark_id : skeleton.progs.at_oom_mark, false);
  if (reclaim == ReclaimNotices::Off) bpf_program__set_autoload(skeleton.progs.at_oom_reclaim, false);
}

}  // namespace alloctrail
