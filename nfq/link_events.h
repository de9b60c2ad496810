// Which interfaces there are, kept up to date by what netlink tells.
#pragma once

#include "nfq/file_descriptor.h"
#include "nfq/netlink_attributes.h"
#include "rules/kernel/member_book.h"

namespace swnat::nfq {

class LinkEvents {
 public:
  // Joins the group. Throws Error.
  LinkEvents();

  // To be polled for reading.
  int fd() const { return socket_.get(); }

  // Takes all that waits. Where the kernel could not tell everything, and the first time, all
  // interfaces are listed. Returns whether anything changed. Throws rules::KernelError.
  bool read(rules::MemberLinks& links);

 private:
  FileDescriptor socket_;
  bool is_complete_ = false;
};

// What one message changes. Returns whether it does.
bool take_link_message(NetlinkBytes message, rules::MemberLinks& links);

}  // namespace swnat::nfq
