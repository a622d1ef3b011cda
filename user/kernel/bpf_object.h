// SPDX-License-Identifier: Apache-2.0
// The loaded BPF object and its memory-mapped tables; owned by the tracer, private to kernel/.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>

#include "alloctrail/config.h"
#include "alloctrail/faults.h"
#include "alloctrail/live_table.h"
#include "alloctrail/oom.h"
#include "alloctrail/records.h"
#include "alloctrail/sampling.h"
#include "user/kernel/map_view.h"
#include "user/kernel/tracer.h"

#include "alloctrail.skel.h"

namespace alloctrail {

struct SkeletonDeleter {
  void operator()(alloctrail_bpf* skeleton) const { alloctrail_bpf::destroy(skeleton); }
};
struct LinkDeleter {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
struct RingDeleter {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};
using Ring = std::unique_ptr<ring_buffer, RingDeleter>;
using Skeleton = std::unique_ptr<alloctrail_bpf, SkeletonDeleter>;
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

/// A loaded object: programs verified, maps made and mapped; the tracepoints and the event ring once started.
struct BpfObject {
  Skeleton skeleton;
  Link exec_link;
  Link exit_link;
  Ring ring;
  ArrayView<at_live_bucket> live_buckets;
  ArrayView<at_site> sites;
  ArrayView<at_site_samples> site_samples;
  ArrayView<at_stack> stacks;
  ArrayView<uint64_t> frames;
  ArrayView<at_thread> threads;
  ArrayView<at_cursors> cursors;
  ArrayView<at_fault_site> fault_sites;
  ArrayView<uint64_t> fault_cursor;
};

[[nodiscard]] Result<BpfObject> load_bpf_object(const TracerOptions& options);

}  // namespace alloctrail
