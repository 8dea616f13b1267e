//! What keeps a session from coming about. The driver's errors hide the network's behind their own texts.

use athena_application::ports::Obstacle;
use scylla::errors::{
    BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind,
    DbError, MetadataError, NewSessionError, RequestAttemptError, UseKeyspaceError,
};

/// What an attempt to make a session met.
pub(super) fn of_session(error: &NewSessionError) -> Option<Obstacle> {
    match error {
        NewSessionError::FailedToResolveAnyHostname(_) => Some(Obstacle::UnknownHost),
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error)) => of_pool(error),
        NewSessionError::UseKeyspaceError(error) => of_keyspace(error),
        _ => None,
    }
}

/// What the connections to a node met.
pub(super) fn of_pool(error: &ConnectionPoolError) -> Option<Obstacle> {
    match error {
        ConnectionPoolError::Broken { last_connection_error } => of_connection(last_connection_error),
        _ => None,
    }
}

fn of_connection(error: &ConnectionError) -> Option<Obstacle> {
    match error {
        ConnectionError::ConnectTimeout => Some(Obstacle::Timeout),
        ConnectionError::IoError(error) => Obstacle::of_io(error),
        ConnectionError::BrokenConnection(error) => Some(of_broken(error)),
        ConnectionError::UseKeyspaceError(error) => of_keyspace(error),
        ConnectionError::ConnectionSetupRequestError(error) => match &error.error {
            ConnectionSetupRequestErrorKind::BrokenConnection(error) => Some(of_broken(error)),
            ConnectionSetupRequestErrorKind::DbError(DbError::Overloaded | DbError::IsBootstrapping, _) => {
                Some(Obstacle::NotAccepting)
            }
            ConnectionSetupRequestErrorKind::DbError(
                DbError::AuthenticationError | DbError::Unauthorized,
                _,
            )
            | ConnectionSetupRequestErrorKind::StartAuthSessionError(_)
            | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(_)
            | ConnectionSetupRequestErrorKind::AuthFinishError(_)
            | ConnectionSetupRequestErrorKind::MissingAuthentication => Some(Obstacle::Authentication),
            _ => None,
        },
        _ => None,
    }
}

fn of_broken(error: &scylla::errors::BrokenConnectionError) -> Obstacle {
    match error.downcast_ref::<BrokenConnectionErrorKind>() {
        Some(BrokenConnectionErrorKind::KeepaliveTimeout(_)) => Obstacle::Timeout,
        _ => Obstacle::Lost,
    }
}

fn of_keyspace(error: &UseKeyspaceError) -> Option<Obstacle> {
    match error {
        UseKeyspaceError::BadKeyspaceName(_)
        | UseKeyspaceError::RequestError(RequestAttemptError::DbError(DbError::Invalid, _)) => {
            Some(Obstacle::UnknownDatabase)
        }
        UseKeyspaceError::RequestTimeout(_) => Some(Obstacle::Timeout),
        _ => None,
    }
}
