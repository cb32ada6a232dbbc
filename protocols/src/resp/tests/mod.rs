mod commands;
mod limits;
mod replies;
