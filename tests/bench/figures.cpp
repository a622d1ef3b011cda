// SPDX-License-Identifier: Apache-2.0
// Section "figures": what alloctrail itself takes. Time to attach and detach, CPU time of a report, memory, and the
// size and running time of its BPF programs.
#include <fmt/core.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>

#include "tests/bench/subject.h"
#include "tests/support/leftovers.h"
#include "tests/support/tracer.h"
#include "user/handles.h"
#include "user/kernel/tracer.h"

namespace alloctrail::bench {
namespace {

using nlohmann::json;

constexpr int kSites = 10'000;
constexpr int kBlocksPerSite = 100;
constexpr int kReports = 5;

double now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

/// CPU time a process has used so far.
double cpu_ms(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    throw std::runtime_error("no CPU clock for process " + std::to_string(pid));
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

struct Memory {
  double own_kib = 0;
  double maps_kib = 0;  ///< pages of BPF maps that it has mapped
};

/// Resident memory from /proc/PID/smaps, the BPF maps apart.
Memory resident(pid_t pid) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  Memory memory;
  bool in_map = false;
  for (std::string line; std::getline(smaps, line);) {
    const bool header = line.find('-') < line.find(' ');
    if (header) in_map = line.find("bpf-map") != std::string::npos;
    if (line.rfind("Rss:", 0) == 0) (in_map ? memory.maps_kib : memory.own_kib) += std::stod(line.substr(4));
  }
  return memory;
}

struct Figures {
  json values = json::object();
  void add(const std::string& name, const std::string& sentence, double value, const char* unit) {
    fmt::print("  {:<78} {:>10.2f} {}\n", sentence, value, unit);
    values[name] = value;
  }
};

void measure_attach(Figures& figures, const test::Deadline& deadline, int times) {
  Subject subject({program("bench_pair"), "1", "5", "pair"}, deadline);
  Series attach, load, detach, clean;
  for (int i = 0; i < times; ++i) {
    const double start = now_ms();
    test::Tracer tracer({subject.pid()}, deadline);
    const double attached = now_ms();
    tracer.finish();
    const double ended = now_ms();
    while (!test::changed_text(subject.pid()).empty()) {
    }
    attach.add(attached - start);
    detach.add(ended - attached);
    clean.add(now_ms() - attached);
    const double loading = now_ms();
    const auto loaded = alloctrail::Tracer::load({});
    if (!loaded) throw std::runtime_error(loaded.error().message);
    load.add(now_ms() - loading);
  }
  figures.add("attach_ms", "attach: from start to \"attached\"", attach.median(), "ms");
  figures.add("load_ms", "of it loading and verifying the programs (done again in the bench)", load.median(), "ms");
  figures.add("after_load_ms", "the rest", attach.median() - load.median(), "ms");
  figures.add("detach_ms", "detach: from SIGINT to the program's end, last report included", detach.median(), "ms");
  figures.add("clean_ms", "from SIGINT until the target has no breakpoint", clean.median(), "ms");
}

/// CPU time of reports asked for by a signal; the first apart, as it looks up every symbol.
void measure_reports(Figures& figures, const std::string& name, pid_t pid, const std::function<void()>& report) {
  std::optional<double> first;
  Series next;
  for (int i = 0; i < kReports; ++i) {
    const double before = cpu_ms(pid);
    report();
    const double used = cpu_ms(pid) - before;
    if (first)
      next.add(used);
    else
      first = used;
  }
  figures.add(name + "_first_cpu_ms", name + ": CPU time of the first report", *first, "ms");
  figures.add(name + "_cpu_ms", name + ": CPU time of a later one", next.median(), "ms");
}

void measure_json_report(Figures& figures, const test::Deadline& deadline, int blocks_per_site) {
  Subject subject({program("bench_many_sites"), std::to_string(kSites), std::to_string(blocks_per_site)}, deadline);
  test::Tracer tracer({subject.pid()}, deadline);
  const double before = cpu_ms(tracer.pid());
  subject.tell("fill");
  figures.add("fill_cpu_ms", "CPU time while the target made the blocks (new stacks)", cpu_ms(tracer.pid()) - before,
              "ms");
  const double idle_kib = resident(tracer.pid()).own_kib;
  measure_reports(figures, "json", tracer.pid(), [&] { tracer.snapshot(); });
  const Memory memory = resident(tracer.pid());
  figures.add("before_reports_mib", "resident memory before the first report, maps apart", idle_kib / 1024, "MiB");
  figures.add("own_mib", "after the reports, maps apart", memory.own_kib / 1024, "MiB");
  figures.add("mapped_maps_mib", "BPF maps it has mapped and touched", memory.maps_kib / 1024, "MiB");
  tracer.finish();
}

void measure_text_report(Figures& figures, const test::Deadline& deadline, int blocks_per_site) {
  Subject subject({program("bench_many_sites"), std::to_string(kSites), std::to_string(blocks_per_site)}, deadline);
  test::Child tracer({.arguments = {test::Tracer::binary(), "report", "-p", std::to_string(subject.pid()), "-i", "1h"}},
                     deadline);
  tracer.wait_error_text("alloctrail: attached to");
  subject.tell("fill");
  measure_reports(figures, "text", tracer.pid(), [&] {
    tracer.signal(SIGUSR1);
    while (tracer.read_line().find("frees of blocks older than the attach") == std::string::npos) {
    }
  });
  figures.add("text_own_mib", "text: resident memory, maps apart", resident(tracer.pid()).own_kib / 1024, "MiB");
}

/// The BPF programs a process holds, as bpftool shows them.
std::vector<json> programs_of(pid_t pid, const test::Deadline& deadline) {
  std::set<uint32_t> ids;  // its links name them once more
  for (const test::BpfObjectId& object : test::bpf_objects_of(pid))
    if (object.kind == "prog") ids.insert(object.id);
  std::vector<json> programs;
  for (const uint32_t id : ids)
    programs.push_back(
        json::parse(test::run({"/usr/sbin/bpftool", "-j", "prog", "show", "id", std::to_string(id)}, deadline)));
  return programs;
}

/// The kernel takes the time of every program run while this descriptor is open.
UniqueFd enable_run_times() {
  bpf_attr attr{};
  attr.enable_stats.type = BPF_STATS_RUN_TIME;
  return UniqueFd(static_cast<int>(syscall(__NR_bpf, BPF_ENABLE_STATS, &attr, sizeof(attr))));
}

void measure_programs_of_tracer(Figures& figures, const test::Deadline& deadline) {
  Subject subject({program("bench_pair"), "1", "5", "pair"}, deadline);
  test::Tracer tracer({subject.pid()}, deadline);
  Series ignored;
  subject.measure(1, 20'000, ignored);
  const UniqueFd run_times = enable_run_times();
  subject.measure(3, 50'000, ignored);
  json shown = json::array();
  for (const json& each : programs_of(tracer.pid(), deadline)) {
    const double runs = each.value("run_cnt", 0.0);
    const double mean_ns = runs > 0 ? each.at("run_time_ns").get<double>() / runs : 0;
    fmt::print("  {:<24} {:>6} BPF instructions {:>7} bytes of code {:>9.0f} ns a run (with the clock's own cost)\n",
               each.at("name").get<std::string>(), each.at("bytes_xlated").get<long>() / 8,
               each.at("bytes_jited").get<long>(), mean_ns);
    shown.push_back({{"name", each.at("name")},
                     {"instructions", each.at("bytes_xlated").get<long>() / 8},
                     {"code_bytes", each.at("bytes_jited")},
                     {"mean_ns", mean_ns}});
  }
  figures.values["programs"] = shown;
  tracer.finish();
}

}  // namespace

json measure_figures(const Options& options, const test::Deadline& deadline) {
  const int blocks_per_site = options.quick ? kBlocksPerSite / 10 : kBlocksPerSite;
  Figures figures;
  fmt::print("\nalloctrail itself; reports of {} live blocks on {} sites\n", kSites * blocks_per_site, kSites);
  figures.values["live_blocks"] = kSites * blocks_per_site;
  figures.values["sites"] = kSites;
  measure_attach(figures, deadline, options.quick ? 3 : 7);
  measure_json_report(figures, deadline, blocks_per_site);
  measure_text_report(figures, deadline, blocks_per_site);
  measure_programs_of_tracer(figures, deadline);
  std::fflush(stdout);
  return figures.values;
}

}  // namespace alloctrail::bench
