//! The view of a directory that a client requests: the order, and the page.

/// The part of a directory that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) order: Order,
    /// The number of the page; the first is 1.
    pub(super) page: usize,
}

impl View {
    /// The view that `?sort=name|size|time`, `order=asc|desc` and `page=NUMBER` ask for; the first
    /// page by name without them. Anything else is ignored.
    pub(super) fn from_query(query: Option<&str>) -> View {
        let mut view = View { order: Order { by: Column::Name, descending: false }, page: 1 };
        for pair in query.unwrap_or("").split('&') {
            match pair.split_once('=') {
                Some(("sort", "name")) => view.order.by = Column::Name,
                Some(("sort", "size")) => view.order.by = Column::Size,
                Some(("sort", "time")) => view.order.by = Column::Time,
                Some(("order", "asc")) => view.order.descending = false,
                Some(("order", "desc")) => view.order.descending = true,
                Some(("page", number)) => view.page = number.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        view
    }
}

/// The order of a listing. Directories always come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: Column,
    pub(super) descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    /// Of files only: the length of a directory means nothing.
    Size,
    Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_number_from_one_on() {
        for (query, page) in [
            ("page=7", 7),
            ("sort=size&page=2&order=desc", 2),
            ("page=1", 1),
            ("page=0", 1),
            ("page=-1", 1),
            ("page=", 1),
            ("page", 1),
            ("page=x", 1),
            ("page=99999999999999999999", 1),
            ("", 1),
        ] {
            assert_eq!(View::from_query(Some(query)).page, page, "{query}");
        }
    }
}
