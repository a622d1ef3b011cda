// SPDX-License-Identifier: Apache-2.0
#include "user/output/fault_json.h"

#include "user/output/report_json.h"

namespace alloctrail {
namespace {

using Json = nlohmann::ordered_json;

void put_figures(Json& object, const TouchFigures& figures) {
  object["faults"] = figures.touched.faults;
  object["touched_bytes"] = figures.touched.bytes;
  object["change_bytes"] = figures.change_bytes ? Json(*figures.change_bytes) : Json(nullptr);
  object["touched_bytes_per_s"] = figures.bytes_per_s;
  object["share"] = figures.share;
}

Json row_json(const TouchFigures& figures) {
  Json object = Json::object();
  put_figures(object, figures);
  return object;
}

}  // namespace

Json touched_json(const Snapshot& snapshot, const FaultView& view) {
  Json object = row_json(view.totals);
  object["interval"] = snapshot.faults->interval;
  object["kinds"] = Json::object();
  for (const TouchKindRow& row : view.kinds) object["kinds"][name_of(row.kind)] = row_json(row.figures);
  object["threads"] = Json::array();
  for (const TouchThreadRow& row : view.threads.rows) {
    const Thread& thread = snapshot.threads[row.thread];
    Json& json =
        object["threads"].emplace_back(Json{{"tid", raw(thread.tid)}, {"name", thread.name}, {"alive", thread.alive}});
    put_figures(json, row.figures);
  }
  return object;
}

Json fault_site_json(const Snapshot& snapshot, const TouchSiteRow& row) {
  const Thread& thread = snapshot.threads[row.thread];
  Json object = {{"tid", raw(thread.tid)}, {"thread", thread.name}, {"kind", name_of(row.kind)}};
  put_figures(object, row.figures);
  object["stack_status"] = stack_status_name(snapshot.stacks[row.stack].status);
  return object;
}

Json fault_accounting_json(const Snapshot& snapshot, const FaultView& view) {
  const FaultAccounting& account = view.accounting;
  Json object = {{"counted", account.counted},
                 {"interval", snapshot.faults->interval},
                 {"unsampled", account.unsampled},
                 {"missed", account.missed},
                 {"in_sites", account.in_sites},
                 {"lost", account.lost},
                 {"uncertain_threads", snapshot.faults->uncertain_threads}};
#define ALLOCTRAIL_PUT_COUNTER(name, sentence) object[#name] = snapshot.faults->counters.name;
  AT_FAULT_COUNTERS(ALLOCTRAIL_PUT_COUNTER)
#undef ALLOCTRAIL_PUT_COUNTER
  return object;
}

}  // namespace alloctrail
