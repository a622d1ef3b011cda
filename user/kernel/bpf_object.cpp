// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/bpf_object.h"

#include <fmt/core.h>
#include <bpf/bpf.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "user/kernel/live_table.h"
#include "user/kernel/oom_programs.h"

namespace alloctrail {
namespace {

constexpr uint32_t kFramesPerStack = 24;  // average depth the frame pool is sized for
constexpr uint32_t kRangeRingBytes = 4u << 20;  // 74,898 system calls that map memory

/// libbpf's last complaint, shown with the error it led to.
std::string& last_libbpf_message() {
  static std::string message;
  return message;
}

int keep_libbpf_message(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  vsnprintf(line, sizeof(line), format, arguments);
  std::string text = line;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (last_libbpf_message().empty()) last_libbpf_message() = std::move(text);
  return 0;
}

Error load_error(int error, const char* what) {
  // To root, "permission denied" is the verifier's word for a program it does not accept.
  const bool rights = error == EPERM || (error == EACCES && geteuid() != 0);
  std::string message = fmt::format("{}: {}", what, std::strerror(error));
  if (!rights && !last_libbpf_message().empty()) message += fmt::format(" ({})", last_libbpf_message());
  return Error{.kind = rights || error == EACCES || error == EOPNOTSUPP || error == EINVAL ? ErrorKind::NotSupported : ErrorKind::Failed,
               .message = std::move(message),
               .hint = rights ? "run as root (sudo), or with CAP_BPF and CAP_PERFMON"
                              : "see what this kernel allows with: alloctrail doctor",
               .os_error = error};
}

void set_config(at_config& config, const TracerOptions& options) {
  uint64_t seed[2] = {1, 2};
  if (getrandom(seed, sizeof(seed), 0) != sizeof(seed)) seed[0] = static_cast<uint64_t>(time(nullptr));
  config.hash_seed_low = seed[0];
  config.hash_seed_high = seed[1];
  config.min_size_bytes = options.min_size_bytes;
  config.max_sites = options.max_sites + 1;
  config.max_stacks = options.max_stacks + 1;
  config.max_frames = options.max_stacks * kFramesPerStack + AT_MAX_FRAMES;
  config.max_threads = options.max_threads + 1;
  config.samples = options.sample_rates ? 1 : 0;
  config.filters_threads = options.only_tids.empty() && options.only_names.empty() ? 0 : 1;
  config.live_buckets = live_table_size(options.max_live_blocks).buckets;
}

void set_sizes(alloctrail_bpf& skeleton, const TracerOptions& options, const at_config& config) {
  const bool heap = options.accounting == HeapAccounting::On;
  bpf_map__set_max_entries(skeleton.maps.live_buckets, config.live_buckets);
  bpf_map__set_max_entries(skeleton.maps.live_spill, live_table_size(options.max_live_blocks).spilled);
  bpf_map__set_max_entries(skeleton.maps.site_ids, heap ? options.max_sites : 1);
  bpf_map__set_max_entries(skeleton.maps.stack_ids, options.max_stacks);
  bpf_map__set_max_entries(skeleton.maps.sites, heap ? config.max_sites : 1);
  bpf_map__set_max_entries(skeleton.maps.site_samples, config.samples != 0 ? config.max_sites : 1);
  if (config.samples == 0) bpf_map__set_max_entries(skeleton.maps.sample_classes, 1);
  bpf_map__set_max_entries(skeleton.maps.stacks, config.max_stacks);
  bpf_map__set_max_entries(skeleton.maps.frames, config.max_frames);
  bpf_map__set_max_entries(skeleton.maps.threads, config.max_threads);
  if (!options.fault_interval) return;
  bpf_map__set_max_entries(skeleton.maps.fault_site_ids, options.max_sites);
  bpf_map__set_max_entries(skeleton.maps.fault_sites, config.max_sites);
  bpf_map__set_max_entries(skeleton.maps.fault_counters, AT_MAX_SLOTS);
}

void set_attach_types(alloctrail_bpf& skeleton, ProbeKind kind) {
  const ProbeKind plain = kind == ProbeKind::Perf ? ProbeKind::Perf : ProbeKind::Multi;
  bpf_program__set_expected_attach_type(skeleton.progs.at_allocate,
                                        static_cast<bpf_attach_type>(expected_attach_type(kind)));
  for (bpf_program* program : {skeleton.progs.at_release, skeleton.progs.at_loader})
    bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(expected_attach_type(plain)));
}

void choose_range_programs(alloctrail_bpf& skeleton, RangeTracking ranges) {
  const auto& programs = skeleton.progs;
  // A typed tracepoint that this kernel has not would keep all of the object from loading; the feed tells of it.
  const bool wanted = ranges == RangeTracking::On && libbpf_find_vmlinux_btf_id("sys_exit", BPF_TRACE_RAW_TP) > 0;
  for (bpf_program* program : {programs.at_syscall_exit, programs.at_find_address_spaces})
    bpf_program__set_autoload(program, wanted);
  if (wanted) {
    bpf_map__set_max_entries(skeleton.maps.range_records, kRangeRingBytes);
  } else {
    bpf_map__set_max_entries(skeleton.maps.range_calls, 1);
    bpf_map__set_max_entries(skeleton.maps.address_spaces, 1);
  }
}

bool traces_processes(const TracerOptions& options) {
  return options.accounting == HeapAccounting::On || options.fault_interval;
}

/// A program that is not needed is not loaded; its absence costs nothing.
void choose_programs(alloctrail_bpf& skeleton, const TracerOptions& options) {
  const auto& programs = skeleton.progs;
  if (options.accounting == HeapAccounting::Off) {
    for (bpf_program* program : {programs.at_allocate, programs.at_release, programs.at_age, programs.at_age_spill})
      bpf_program__set_autoload(program, false);
    bpf_map__set_max_entries(skeleton.maps.probe_hits, 1);
  }
  if (!traces_processes(options)) {
    for (bpf_program* program : {programs.at_loader, programs.at_exec, programs.at_exit})
      bpf_program__set_autoload(program, false);
    bpf_map__set_max_entries(skeleton.maps.unwind_blocks, 1);
    bpf_map__set_max_entries(skeleton.maps.unwind_sides, 1);
    bpf_map__set_max_entries(skeleton.maps.counters, 1);
  }
  choose_range_programs(skeleton, options.ranges);
  bpf_program__set_autoload(programs.at_fault, options.fault_interval.has_value());
  for (const OomProgram& program : oom_programs(skeleton)) bpf_program__set_autoload(program.program, false);
  if (options.oom != OomWatch::Nobody) {
    choose_oom_programs(skeleton, options.reclaim);
  } else {
    bpf_map__set_max_entries(skeleton.maps.oom_records, 4096);
    bpf_map__set_max_entries(skeleton.maps.oom_threads, 1);
    bpf_map__set_max_entries(skeleton.maps.oom_states, 1);
  }
  skeleton.rodata->oom_cfg.watch_all = options.oom == OomWatch::EveryProcess;
  skeleton.rodata->oom_cfg.ring_bytes = bpf_map__max_entries(skeleton.maps.oom_records);
}

/// The limits of an object that accounts less.
TracerOptions without_unused_tables(TracerOptions options) {
  if (options.accounting == HeapAccounting::Off) options.max_live_blocks = 1;
  if (traces_processes(options)) return options;
  options.max_sites = 1;
  options.max_stacks = 1;
  options.max_threads = 1;
  options.sample_rates.reset();
  return options;
}

/// Index 0 of each table is reserved: start handing out at 1.
void reserve_first_elements(BpfObject& object) {
  volatile at_cursors& cursors = object.cursors[0];
  cursors.sites = 1;
  cursors.stacks = 1;
  cursors.frames = 1;
  cursors.threads = 1;
  object.fault_cursor[0] = 1;
  object.stacks[AT_STACK_NONE].status = AT_STACK_table_full;
}

Status put(bpf_map* map, const void* key, const void* value) {
  if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0) return ok();
  return load_error(errno, "filling the tables of what is recorded");
}

/// Which threads are recorded, and how allocations are drawn and weighed.
Status fill_filters(alloctrail_bpf& skeleton, const TracerOptions& options) {
  const uint32_t present = 1;
  for (const Tid tid : options.only_tids) {
    const uint32_t key = raw(tid);
    if (auto written = put(skeleton.maps.wanted_threads, &key, &present); !written) return written;
  }
  for (const std::string& name : options.only_names) {
    at_thread_name key{};
    name.copy(key.comm, sizeof(key.comm) - 1);
    if (auto written = put(skeleton.maps.wanted_names, &key, &present); !written) return written;
  }
  if (!options.sample_rates) return ok();
  const std::vector<at_sample_class> table = sample_table(*options.sample_rates);
  for (uint32_t index = 0; index < table.size(); ++index)
    if (auto written = put(skeleton.maps.sample_classes, &index, &table[index]); !written) return written;
  return ok();
}

template <class T>
Status map_array(ArrayView<T>& view, bpf_map* map) {
  auto mapped = ArrayView<T>::map(bpf_map__fd(map), bpf_map__max_entries(map), bpf_map__name(map));
  if (!mapped) return std::move(mapped).error();
  view = *std::move(mapped);
  return ok();
}

Status map_arrays(BpfObject& object) {
  auto& maps = object.skeleton->maps;
  if (auto s = map_array(object.live_buckets, maps.live_buckets); !s) return s;
  if (auto s = map_array(object.sites, maps.sites); !s) return s;
  if (auto s = map_array(object.site_samples, maps.site_samples); !s) return s;
  if (auto s = map_array(object.stacks, maps.stacks); !s) return s;
  if (auto s = map_array(object.frames, maps.frames); !s) return s;
  if (auto s = map_array(object.threads, maps.threads); !s) return s;
  if (auto s = map_array(object.fault_sites, maps.fault_sites); !s) return s;
  if (auto s = map_array(object.fault_cursor, maps.fault_cursor); !s) return s;
  return map_array(object.cursors, maps.cursors);
}

}  // namespace

Result<BpfObject> load_bpf_object(const TracerOptions& asked) {
  const TracerOptions options = without_unused_tables(asked);
  libbpf_set_print(keep_libbpf_message);
  last_libbpf_message().clear();
  BpfObject object;
  object.skeleton.reset(alloctrail_bpf::open(nullptr));
  if (!object.skeleton) return load_error(errno, "opening the BPF object");
  at_config& config = object.skeleton->rodata->cfg;
  set_config(config, options);
  set_sizes(*object.skeleton, options, config);
  set_attach_types(*object.skeleton, options.probe_kind);
  choose_programs(*object.skeleton, options);
  if (const int error = alloctrail_bpf::load(object.skeleton.get()))
    return load_error(-error, "loading the BPF programs");
  if (auto filled = fill_filters(*object.skeleton, options); !filled) return std::move(filled).error();
  if (auto mapped = map_arrays(object); !mapped) return std::move(mapped).error();
  reserve_first_elements(object);
  return object;
}

}  // namespace alloctrail
